#include "kernels/cpu/kv_cache.h"

#include <algorithm>

namespace sluice::kernels::cpu {

CpuKvCache::CpuKvCache(const KvShape& shape)
    : shape_(shape), data_(allocate_floats(layer_floats() * shape.layers)) {}

void CpuKvCache::write(int layer_index, const RowPlace& place, const float* k, const float* v) {
  const std::size_t dim = shape_.head_dim;
  const std::size_t page = place.pages[place.position / kPageTokens % place.page_count];
  const std::size_t slot = place.position % kPageTokens;
  float* head = layer(layer_index) + page * shape_.kv_heads * head_floats();
  for (int h = 0; h < shape_.kv_heads; ++h, head += head_floats(), k += dim, v += dim) {
    float* keys = head + slot / kLanes * dim * kLanes + slot % kLanes;
    for (std::size_t d = 0; d < dim; ++d) keys[d * kLanes] = k[d];
    std::copy_n(v, dim, head + kPageTokens * dim + slot * dim);
  }
}

}  // namespace sluice::kernels::cpu
