// What stands for memory of the device's above Backend: buffers, KV caches, and where the rows of a
// micro-batch lie in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/transfers.h"

namespace sluice::kernels::cuda {

class CudaBuffer final : public Buffer {
 public:
  explicit CudaBuffer(std::size_t floats)
      : floats_(floats), data_(allocate_device(floats * sizeof(float))) {}
  std::size_t floats() const override { return floats_; }
  float* data() const { return reinterpret_cast<float*>(data_.get()); }

 private:
  std::size_t floats_;
  DeviceBytes data_;
};

class CudaKvCache final : public KvCache {
 public:
  explicit CudaKvCache(const KvShape& shape)
      : shape_(shape),
        data_(allocate_device(layer_bytes() * static_cast<std::size_t>(shape.layers))) {}
  const KvShape& shape() const override { return shape_; }
  KvLayer layer(int layer) const {
    return {.data = data_.get() + static_cast<std::size_t>(layer) * layer_bytes(),
            .type = shape_.type,
            .kv_heads = shape_.kv_heads,
            .head_dim = shape_.head_dim,
            .head_bytes = page_bytes() / static_cast<std::size_t>(shape_.kv_heads)};
  }
  std::byte* page(int layer, int page) const {
    return data_.get() + static_cast<std::size_t>(layer) * layer_bytes() +
           static_cast<std::size_t>(page) * page_bytes();
  }
  std::size_t page_bytes() const {  // of one layer
    KvShape one = shape_;
    one.layers = 1;
    return kv_bytes_per_page(one);
  }

 private:
  std::size_t layer_bytes() const { return page_bytes() * static_cast<std::size_t>(shape_.pages); }

  KvShape shape_;
  DeviceBytes data_;
};

class CudaRows final : public Rows {
 public:
  CudaRows(std::span<const Row> rows, std::span<const std::span<const std::int32_t>> page_tables,
           Transfers& transfers, std::uint64_t event);
  std::size_t count() const override { return rows_.size(); }
  std::span<const SequenceRows> sequences() const override { return sequences_; }
  int positions_end() const override { return positions_end_; }
  int pages_end() const override { return pages_end_; }
  int run_max() const { return run_max_; }
  std::span<const Row> rows() const { return rows_; }
  const Places& places() const { return places_; }

 private:
  std::vector<Row> rows_;
  std::vector<SequenceRows> sequences_;
  int positions_end_ = 0, pages_end_ = 0, run_max_ = 0;
  BlockPool::Lent block_;
  Places places_{};
};

}  // namespace sluice::kernels::cuda
