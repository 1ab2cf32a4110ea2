#include "kernels/cpu/kv_cache.h"

namespace sluice::kernels::cpu {

CpuKvCache::CpuKvCache(const KvShape& shape)
    : shape_(shape), data_(allocate_bytes(layer_bytes() * shape.layers)) {}

std::size_t CpuKvCache::layer_bytes() const {
  KvShape one = shape_;
  one.layers = 1;
  return kv_bytes_per_page(one) * shape_.pages;
}

}  // namespace sluice::kernels::cpu
