#include "kernels/cpu/kv_cache.h"

namespace sluice::kernels::cpu {

CpuKvCache::CpuKvCache(const KvShape& shape)
    : shape_(shape), data_(allocate_bytes(layer_bytes() * shape.layers)) {}

std::span<std::byte> CpuKvCache::page(int layer, int page) {
  return {this->layer(layer) + page * page_bytes(), page_bytes()};
}

std::size_t CpuKvCache::page_bytes() const {
  KvShape one = shape_;
  one.layers = 1;
  return kv_bytes_per_page(one);
}

std::size_t CpuKvCache::layer_bytes() const { return page_bytes() * shape_.pages; }

}  // namespace sluice::kernels::cpu
