#include "kernels/cuda/check.h"

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/error.h"

namespace sluice::kernels::cuda {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw Error("cuda: " + std::string(what) + ": " + cudaGetErrorString(error) + " (" +
              cudaGetErrorName(error) + ")");
}

}  // namespace sluice::kernels::cuda
