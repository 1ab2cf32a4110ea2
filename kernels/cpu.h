// The CPU backend: fp32 activations, fp32 KV cache, weights kept in their file type and expanded
// to fp32 in tiles. The same bits on every instruction set it runs on. One thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kernels/backend.h"

namespace sluice::kernels {

enum class Isa { portable, avx2, avx512 };
const char* to_string(Isa isa);

// What is compiled in and this CPU can run, best last. Never empty: portable runs everywhere (and
// is for checking: it is some thirty times slower).
std::vector<Isa> supported_isas();

// The best instruction set, or the one that is asked for; Error when this CPU lacks it.
std::unique_ptr<Backend> make_cpu_backend(std::optional<Isa> isa = std::nullopt);

}  // namespace sluice::kernels
