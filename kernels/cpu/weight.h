// A weight in the CPU's memory. Products are packed at load: 64 rows are a strip; inside a strip,
// blocks of columns follow each other (32 or 256 columns of a quantised type, 1 of a float); a
// block holds its four groups of 16 rows, each with every unit of the file's block (a scale, a byte
// of codes) 16 times, row beside row. So 16 rows' worth of anything is one load, what stood at
// offset o of a block begins at 16 o, and a matrix is one sequential stream. Rows are padded to
// whole strips with zeros.
//
// Nothing is requantised: a row read back gives the file's bytes.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/memory.h"

namespace sluice::kernels::cpu {

class CpuWeight final : public Weight {
 public:
  CpuWeight(const WeightSpec& spec, const RowReader& reader);

  std::size_t rows() const override { return spec_.rows; }
  std::size_t cols() const override { return spec_.cols; }
  std::size_t bytes() const override { return bytes_; }

  WeightType type() const { return spec_.type; }
  WeightUse use() const { return spec_.use; }

  // Packed for products. Requires: use() == product.
  const std::byte* strips() const { return data_.get(); }
  std::size_t strip_bytes() const;

  // One row as fp32, of any use.
  void read_row(std::size_t row, std::span<float> out) const;
  // Requires: use() == vector.
  const float* vector() const { return reinterpret_cast<const float*>(data_.get()); }

 private:
  void load_packed(const RowReader& reader);
  void load_rows(const RowReader& reader);
  void load_vector(const RowReader& reader);

  WeightSpec spec_;
  std::size_t bytes_ = 0;
  Bytes data_;
};

}  // namespace sluice::kernels::cpu
