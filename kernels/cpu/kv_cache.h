// Keys and values in pages of 32 positions, fp32 or halves. Of one layer: [page][kv_head], and
// there the keys as [dim][32], so that a lane is a position, then the values as [32][dim]; dim is
// head_dim rounded up to whole vectors.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/operations.h"

namespace sluice::kernels::cpu {

static_assert(kPageTokens == kKvPageTokens && kAttentionDimMax == kHeadDimMax);

class CpuKvCache final : public KvCache {
 public:
  explicit CpuKvCache(const KvShape& shape);

  const KvShape& shape() const override { return shape_; }
  std::byte* layer(int layer) { return data_.get() + layer * layer_bytes(); }
  const std::byte* layer(int layer) const { return data_.get() + layer * layer_bytes(); }
  std::span<std::byte> page(int layer, int page);
  bool is_half() const { return shape_.type == KvType::f16; }

 private:
  std::size_t page_bytes() const;  // of one layer
  std::size_t layer_bytes() const;

  KvShape shape_;
  Bytes data_;
};

}  // namespace sluice::kernels::cpu
