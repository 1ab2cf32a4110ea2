#include "kernels/cuda/memory.h"

#include <cuda_runtime_api.h>

#include <cstring>
#include <string>

#include "kernels/cuda/check.h"
#include "kernels/error.h"

namespace sluice::kernels::cuda {
namespace {

constexpr std::size_t kBlockBytesMin = std::size_t{1} << 16;

std::string megabytes(std::size_t bytes) {
  return std::to_string((bytes + (std::size_t{1} << 20) - 1) >> 20) + " MiB";
}

}  // namespace

void FreeDevice::operator()(std::byte* at) const { cudaFree(at); }
void FreePinned::operator()(std::byte* at) const { cudaFreeHost(at); }
void DestroyEvent::operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
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

EventHandle make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return EventHandle(event);
}

StreamHandle make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return StreamHandle(stream);
}

std::byte* Scratch::bytes(std::size_t count) {
  if (count > size_) {
    memory_.reset();  // the device is done with it when it is freed
    memory_ = allocate_device(count);
    size_ = count;
  }
  return memory_.get();
}

void Staging::upload(const void* from, std::byte* to, std::size_t bytes) {
  if (bytes == 0) return;
  Block& block = take(bytes);
  std::memcpy(block.memory.get(), from, bytes);
  check(cudaMemcpyAsync(to, block.memory.get(), bytes, cudaMemcpyHostToDevice, stream_),
        "cudaMemcpyAsync");
  check(cudaEventRecord(block.done.get(), stream_), "cudaEventRecord");
}

void Staging::wait() {
  for (Block& block : blocks_) {
    check(cudaEventSynchronize(block.done.get()), "cudaEventSynchronize");
  }
}

Staging::Block& Staging::take(std::size_t bytes) {
  for (Block& block : blocks_) {
    if (block.bytes < bytes) continue;
    const cudaError_t state = cudaEventQuery(block.done.get());
    if (state == cudaSuccess) return block;
    if (state != cudaErrorNotReady) check(state, "cudaEventQuery");
    cudaGetLastError();
  }
  std::size_t size = kBlockBytesMin;
  while (size < bytes) size *= 2;
  blocks_.push_back({allocate_pinned(size), size, make_event()});
  return blocks_.back();
}

}  // namespace sluice::kernels::cuda
