// CUDA's device language for plain g++: this folder comes before the toolkit's own headers, whose
// types and prototypes (dim3, cudaStream_t, cudaMalloc ...) are used as they are; only what they
// promise is implemented here and in the emulation's sources.
#pragma once

#include_next <cuda_runtime.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tests/cuda_emulation/emulation.h"

#define SLUICE_CUDA_EMULATED 1

// Shared memory comes from shared_memory() only (kernels/cuda/device.h).
#undef __shared__
#define __shared__ shared_memory_is_had_from_shared_memory
#define __launch_bounds__(...)

extern thread_local constinit uint3 threadIdx;
extern thread_local constinit uint3 blockIdx;
extern thread_local constinit dim3 blockDim;
extern thread_local constinit dim3 gridDim;

inline void __syncthreads(emulation::Site site = emulation::Site::current()) {
  emulation::barrier(emulation::BarrierKind::plain, 0, site);
}
inline int __syncthreads_count(int predicate, emulation::Site site = emulation::Site::current()) {
  return emulation::barrier(emulation::BarrierKind::count, predicate, site);
}
inline int __syncthreads_and(int predicate, emulation::Site site = emulation::Site::current()) {
  return emulation::barrier(emulation::BarrierKind::all, predicate, site);
}
inline int __syncthreads_or(int predicate, emulation::Site site = emulation::Site::current()) {
  return emulation::barrier(emulation::BarrierKind::any, predicate, site);
}
inline void __syncwarp(unsigned mask = ~0u, emulation::Site site = emulation::Site::current()) {
  emulation::WarpRequest request{.kind = emulation::WarpKind::sync, .mask = mask};
  emulation::warp(request, site);
}
inline void __threadfence() { emulation::fence(); }
inline void __threadfence_block() { emulation::fence(); }

namespace emulation {

template <class T>
T shuffle(WarpKind kind, unsigned mask, T value, int argument, int width, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  WarpRequest request{.kind = kind, .mask = mask, .argument = argument, .width = width};
  __builtin_memcpy(&request.value, &value, sizeof value);
  warp(request, site);
  __builtin_memcpy(&value, &request.value, sizeof value);
  return value;
}

}  // namespace emulation

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32,
              emulation::Site site = emulation::Site::current()) {
  return emulation::shuffle(emulation::WarpKind::shuffle_from, mask, value, lane, width, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                 emulation::Site site = emulation::Site::current()) {
  return emulation::shuffle(emulation::WarpKind::shuffle_up, mask, value,
                            static_cast<int>(distance), width, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                   emulation::Site site = emulation::Site::current()) {
  return emulation::shuffle(emulation::WarpKind::shuffle_down, mask, value,
                            static_cast<int>(distance), width, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  emulation::Site site = emulation::Site::current()) {
  return emulation::shuffle(emulation::WarpKind::shuffle_xor, mask, value, lanes, width, site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              emulation::Site site = emulation::Site::current()) {
  emulation::WarpRequest request{
      .kind = emulation::WarpKind::ballot, .mask = mask, .value = predicate != 0};
  emulation::warp(request, site);
  return static_cast<unsigned>(request.value);
}
inline int __any_sync(unsigned mask, int predicate,
                      emulation::Site site = emulation::Site::current()) {
  return __ballot_sync(mask, predicate, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      emulation::Site site = emulation::Site::current()) {
  return __ballot_sync(mask, predicate, site) == mask;
}

inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(y) << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    result |= static_cast<unsigned>(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
  }
  return result;
}
inline unsigned atomicAdd(unsigned* at, unsigned value) {
  return std::atomic_ref(*at).fetch_add(value, std::memory_order_relaxed);
}
