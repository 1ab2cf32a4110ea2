// A weight in the CPU's memory. Products are packed at load in groups of 16 rows (packing.h),
// padded with rows of zeros. Nothing is requantised: a row read back gives the file's values.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/memory.h"

namespace sluice::kernels::cpu {

class CpuWeight final : public Weight {
 public:
  CpuWeight(const WeightSpec& spec, const RowReader& reader, Arena& arena);

  std::size_t rows() const override { return spec_.rows; }
  std::size_t cols() const override { return spec_.cols; }
  std::size_t bytes() const override { return bytes_; }

  WeightType type() const { return spec_.type; }
  WeightUse use() const { return spec_.use; }

  // Packed for products: the first product_rows(). Requires: use() == product.
  std::size_t product_rows() const {
    return spec_.product_rows > 0 ? spec_.product_rows : spec_.rows;
  }
  const std::byte* groups() const { return data_.get(); }
  std::size_t group_bytes() const { return group_bytes_; }

  // One row as fp32, of any use.
  void read_row(std::size_t row, std::span<float> out) const;
  // All rows as they lie. Throws where this is no lookup of floats.
  const float* float_rows() const;
  // Requires: use() == vector.
  const float* vector() const { return reinterpret_cast<const float*>(data_.get()); }

 private:
  void load_packed(const RowReader& reader, Arena& arena);
  void load_rows(const RowReader& reader, std::size_t first);
  void load_vector(const RowReader& reader);

  WeightSpec spec_;
  std::size_t bytes_ = 0;
  std::size_t group_bytes_ = 0;
  std::shared_ptr<std::byte[]> data_;  // packed, or a vector's floats
  Bytes looked_up_;                    // rows as the file has them, from the first not packed
};

}  // namespace sluice::kernels::cpu
