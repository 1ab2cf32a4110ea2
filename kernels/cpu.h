// The CPU backend: fp32 activations, fp32 KV cache, weights kept in their file type and expanded
// to fp32 in tiles. The same bits on every instruction set it runs on.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace sluice::kernels {

// Throws Error when this CPU has none of the instruction sets that are compiled in.
std::unique_ptr<Backend> make_cpu_backend();

}  // namespace sluice::kernels
