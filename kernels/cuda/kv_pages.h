// Where a head's keys and values lie in a page (operations.h, KvLayer).
#pragma once

#include "kernels/backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {

template <class Element>
struct KvHead {
  Element* keys;
  Element* values;
  int dim;  // padded

  __device__ KvHead(const KvLayer& kv, std::int32_t page, int head) : dim(padded_dim(kv.head_dim)) {
    const std::size_t values_at = std::size_t{kKvPageTokens} * dim;
    keys = static_cast<Element*>(kv.data) +
           (static_cast<std::size_t>(page) * kv.kv_heads + head) * 2 * values_at;
    values = keys + values_at;
  }
  __device__ Element* key(int slot, int d) const {
    return keys + (d / kKeyValues * kKvPageTokens + slot) * kKeyValues + d % kKeyValues;
  }
  __device__ Element* value(int slot, int d) const { return values + slot * dim + d; }
};

__device__ inline std::int32_t page_of(const Places& places, const RowPlace& row, int position) {
  return places.pages[row.pages_at + position / kKvPageTokens % row.page_count];
}

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
template <class Element>
__device__ Element from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline __half from_float<__half>(float x) {
  return __float2half_rn(x);
}

}  // namespace sluice::kernels::cuda
