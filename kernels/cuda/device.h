// The only header through which kernels see CUDA. What it includes is NVIDIA's under nvcc; under
// g++ the emulation of tests/cuda_emulation puts its own folder first.
//
// Rules that the emulation checks: shared memory is one layout a kernel, had from shared_memory();
// launches go through launch(); kernels wait for none but threads of their own block.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <tuple>

#include "kernels/cuda/launch.h"

namespace sluice::kernels::cuda {

inline constexpr unsigned kAllLanes = ~0u;
inline constexpr int kWarp = 32;

__device__ inline int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ inline int warp() { return static_cast<int>(threadIdx.x) / kWarp; }

// The block's shared memory, not initialised. Layout: a struct of the kernel's own, plain data.
template <class Layout>
__device__ Layout& shared_memory() {
#ifdef SLUICE_CUDA_EMULATED
  return *static_cast<Layout*>(emulation::shared_memory(sizeof(Layout), alignof(Layout)));
#else
  __shared__ Layout layout;
  return layout;
#endif
}

struct Grid {
  dim3 blocks, threads;
};

// Enqueues `kernel`. Throws Error where it cannot be launched.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const char* name, const Grid& grid, cudaStream_t stream,
            const Arguments&... arguments) {
#ifdef SLUICE_CUDA_EMULATED
  emulation::know(kernel, name);
#endif
  std::tuple<Parameters...> kept(arguments...);
  std::apply(
      [&](auto&... each) {
        const std::array<Argument, sizeof...(each)> all{Argument{&each, sizeof each}...};
        enqueue({.kernel = reinterpret_cast<const void*>(kernel),
                 .name = name,
                 .blocks = grid.blocks,
                 .threads = grid.threads,
                 .arguments = all},
                stream);
      },
      kept);
}

// Sums and maxima of a warp's values by a fixed tree: each lane gets the same bits.
__device__ inline float warp_sum(float value) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, distance);
  }
  return value;
}

__device__ inline float warp_max(float value) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

// Of a block of Warps warps. Part of a kernel's layout; used once between barriers.
template <int Warps>
struct BlockSum {
  float of_warp[Warps];

  // Every thread gets the same bits.
  __device__ float sum(float value) {
    value = warp_sum(value);
    if (lane() == 0) of_warp[warp()] = value;
    __syncthreads();
    float total = 0;
#pragma unroll
    for (int i = 0; i < Warps; ++i) total += of_warp[i];
    return total;
  }
};

// 16 bytes by one load or store.
template <class T>
struct alignas(16) Vector {
  static constexpr int kCount = 16 / sizeof(T);
  T at[kCount];
};

}  // namespace sluice::kernels::cuda
