// The CPU backend: weights keep the codes and scales of their file, and meet activations as the
// precision says. The same bits on every instruction set and with any number of
// threads.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kernels/backend.h"

namespace sluice::kernels {

enum class Isa { portable, avx2, avx512 };  // avx512: with VNNI
const char* to_string(Isa isa);

// What is compiled in and this CPU can run, best last. Never empty: portable runs everywhere (and
// is for checking: it is some thirty times slower).
std::vector<Isa> supported_isas();

struct CpuOptions {
  std::optional<Isa> isa =
      {};           // default: the best this CPU has; Error where it lacks the one named
  int threads = 1;  // the caller's included
};

// Precisions differ in products with integer-coded weights only: `fast` rounds activations to 8
// bits in blocks of 32, `high` to 15 bits, and both multiply integers; `exact`, like products with
// float weights, is fp32 throughout.
std::unique_ptr<Backend> make_cpu_backend(Precision precision, const CpuOptions& options = {});

}  // namespace sluice::kernels
