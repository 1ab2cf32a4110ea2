// A kernel's way to a stream, past the types of its parameters.
#pragma once

#include <driver_types.h>
#include <vector_types.h>

#include <cstddef>
#include <span>

namespace sluice::kernels::cuda {

struct Argument {
  const void* at;
  std::size_t bytes;
};
struct KernelLaunch {
  const void* kernel;
  const char* name;
  dim3 blocks, threads;
  std::span<const Argument> arguments;  // copied
};

// Launches it, or where the stream is that of a ComputeQueue of this thread keeps it there. Throws
// Error where it cannot be launched.
void enqueue(const KernelLaunch& launch, cudaStream_t stream);

}  // namespace sluice::kernels::cuda
