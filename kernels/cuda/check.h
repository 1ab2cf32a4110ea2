// CUDA's errors as this project's.
#pragma once

#include <driver_types.h>

namespace sluice::kernels::cuda {

// Throws Error that names `what` and CUDA's reason.
void check(cudaError_t error, const char* what);

}  // namespace sluice::kernels::cuda
