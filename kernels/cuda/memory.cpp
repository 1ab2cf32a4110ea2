#include "kernels/cuda/memory.h"

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/cuda/check.h"
#include "kernels/error.h"

namespace sluice::kernels::cuda {
namespace {

std::string megabytes(std::size_t bytes) {
  return std::to_string((bytes + (std::size_t{1} << 20) - 1) >> 20) + " MiB";
}

}  // namespace

void FreeDevice::operator()(std::byte* at) const { cudaFree(at); }
void FreePinned::operator()(std::byte* at) const { cudaFreeHost(at); }
void DestroyStream::operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }

DeviceBytes allocate_device(std::size_t bytes) {
  void* at = nullptr;
  const cudaError_t error = cudaMalloc(&at, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    throw Error("cuda: " + megabytes(bytes) + " more do not fit: " + megabytes(free) + " of " +
                megabytes(total) + " are free");
  }
  check(error, "cudaMalloc");
  return DeviceBytes(static_cast<std::byte*>(at));
}

PinnedBytes allocate_pinned(std::size_t bytes) {
  void* at = nullptr;
  check(cudaHostAlloc(&at, bytes, cudaHostAllocDefault), "cudaHostAlloc");
  return PinnedBytes(static_cast<std::byte*>(at));
}

StreamHandle make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return StreamHandle(stream);
}

}  // namespace sluice::kernels::cuda
