// Keys and values in pages of 32 positions, fp32. Of one layer: [page][kv_head], and there the
// keys as [2][head_dim][16], so that a lane is a position, then the values as [32][head_dim].
#pragma once

#include <cstddef>

#include "kernels/backend.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/operations.h"

namespace sluice::kernels::cpu {

static_assert(kPageTokens == kKvPageTokens);

class CpuKvCache final : public KvCache {
 public:
  explicit CpuKvCache(const KvShape& shape);

  const KvShape& shape() const override { return shape_; }
  float* layer(int layer) { return data_.get() + layer * layer_floats(); }
  const float* layer(int layer) const { return data_.get() + layer * layer_floats(); }

  // One token's keys and values: (kv_heads, head_dim).
  void write(int layer, const RowPlace& place, const float* k, const float* v);

 private:
  std::size_t head_floats() const { return std::size_t{2} * kPageTokens * shape_.head_dim; }
  std::size_t layer_floats() const { return head_floats() * shape_.kv_heads * shape_.pages; }

  KvShape shape_;
  Floats data_;
};

}  // namespace sluice::kernels::cpu
