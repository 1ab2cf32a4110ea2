// The CUDA backend that a test program has: emulated (tests/cuda_emulation), or of the module on a
// GPU (gpu_under_test.cpp).
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace sluice::kernels {

std::unique_ptr<Backend> make_cuda_under_test(Precision precision);

// Emulated: threads, blocks and streams run in an order of this number's from now on.
void change_order(int number);

}  // namespace sluice::kernels
