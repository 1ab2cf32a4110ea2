// Where a head's keys and values lie in a page (operations.h, KvLayer), and what they are kept as.
#pragma once

#include <cuda_bf16.h>

#include <type_traits>

#include "kernels/backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline float to_float(std::int8_t x) { return static_cast<float>(x); }
__device__ inline void from_float(float x, float& out) { out = x; }
__device__ inline void from_float(float x, __half& out) { out = __float2half_rn(x); }
__device__ inline void from_float(float x, __nv_bfloat16& out) { out = __float2bfloat16_rn(x); }

// Of 32 values, a lane each: what brings the largest of them to 127 or less, rounded up to a
// bfloat16. Not a number where one of them is none.
__device__ inline __nv_bfloat16 scale_of_warp(float value) {
  constexpr unsigned kInfinity = 0x7f800000, kNaN = 0x7fc0;
  unsigned largest = __float_as_uint(value) & 0x7fffffff;
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const unsigned other = __shfl_xor_sync(kAllLanes, largest, distance);
    largest = other > largest ? other : largest;
  }
  const unsigned bits = __float_as_uint(__fdiv_rn(__uint_as_float(largest), 127.0f));
  __nv_bfloat16_raw rounded;
  rounded.x = static_cast<unsigned short>(largest > kInfinity ? kNaN : (bits + 0xffff) >> 16);
  return rounded;
}

__device__ inline std::int8_t code_of(float value, float scale) {
  return scale > 0 && scale < INFINITY
             ? static_cast<std::int8_t>(__float2int_rn(__fdiv_rn(value, scale)))
             : std::int8_t{0};
}

template <KvType Type>
class KvHead {
 public:
  __device__ KvHead(const KvLayer& kv, std::int32_t page, int head)
      : dim_(padded_dim(kv.head_dim)),
        keys_(reinterpret_cast<Element*>(
            kv.data + (static_cast<std::size_t>(page) * kv.kv_heads + head) * kv.head_bytes)),
        values_(keys_ + std::size_t{kKvPageTokens} * dim_) {}

  // Dimensions [d, d + kKeyValues) of a position. Requires: whole ones of them.
  __device__ void key(int slot, int d, float (&out)[kKeyValues]) const {
    const auto some = load<kKeyValues>(key_at(slot, d));
#pragma unroll
    for (int i = 0; i < kKeyValues; ++i) out[i] = to_float(some.at[i]);
    if constexpr (kScaled) {
      const float scale = to_float(*key_scale(slot, d));
#pragma unroll
      for (int i = 0; i < kKeyValues; ++i) out[i] *= scale;
    }
  }

  // Dimensions d and d + 1.
  __device__ float2 value(int slot, int d) const {
    const auto pair = load<2>(value_at(slot, d));
    float2 out = {to_float(pair.at[0]), to_float(pair.at[1])};
    if constexpr (kScaled) {
      const float scale = to_float(*value_scale(slot, d));
      out.x *= scale;
      out.y *= scale;
    }
    return out;
  }

  // By a whole warp: 32 dimensions, a lane each; those beyond the padded ones are 0, and not kept.
  __device__ void write(int slot, int d, float key, float value) const {
    if constexpr (kScaled) {
      const __nv_bfloat16 of_keys = scale_of_warp(key), of_values = scale_of_warp(value);
      if (d < dim_) {
        *key_at(slot, d) = code_of(key, to_float(of_keys));
        *value_at(slot, d) = code_of(value, to_float(of_values));
      }
      if (lane() == 0) {
        *key_scale(slot, d) = of_keys;
        *value_scale(slot, d) = of_values;
      }
    } else if (d < dim_) {
      from_float(key, *key_at(slot, d));
      from_float(value, *value_at(slot, d));
    }
  }

 private:
  static constexpr bool kScaled = Type == KvType::q8;
  using Element = std::conditional_t<
      kScaled, std::int8_t,
      std::conditional_t<Type == KvType::f32, float,
                         std::conditional_t<Type == KvType::f16, __half, __nv_bfloat16>>>;

  // By loads of 16 bytes at most.
  template <int Count>
  struct alignas(Count * sizeof(Element) < 16 ? Count * sizeof(Element) : 16) Some {
    Element at[Count];
  };
  template <int Count>
  __device__ static Some<Count> load(const Element* from) {
    return *reinterpret_cast<const Some<Count>*>(from);
  }

  __device__ Element* key_at(int slot, int d) const {
    return keys_ + (d / kKeyValues * kKvPageTokens + slot) * kKeyValues + d % kKeyValues;
  }
  __device__ Element* value_at(int slot, int d) const { return values_ + slot * dim_ + d; }
  __device__ int scales() const { return (dim_ + kKvScaledValues - 1) / kKvScaledValues; }
  __device__ __nv_bfloat16* key_scale(int slot, int d) const {
    return reinterpret_cast<__nv_bfloat16*>(values_ + std::size_t{kKvPageTokens} * dim_) +
           d / kKvScaledValues * kKvPageTokens + slot;
  }
  __device__ __nv_bfloat16* value_scale(int slot, int d) const {
    return key_scale(0, 0) + (kKvPageTokens + slot) * scales() + d / kKvScaledValues;
  }

  int dim_;  // padded
  Element* keys_;
  Element* values_;
};

__device__ inline std::int32_t page_of(const Places& places, const RowPlace& row, int position) {
  return places.pages[row.pages_at + position / kKvPageTokens % row.page_count];
}

}  // namespace sluice::kernels::cuda
