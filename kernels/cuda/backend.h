// The CUDA backend, on the device that is current.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace sluice::kernels::cuda {

// `exact` is fp32 throughout; `fast` multiplies activations rounded to halves, `high` what that
// leaves too, with weights of integers as they are, sums in fp32.
std::unique_ptr<Backend> make_cuda_backend(Precision precision);

}  // namespace sluice::kernels::cuda
