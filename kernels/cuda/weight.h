// A weight in the device's memory. Of products, and of coded lookups, packed (packing.h); of float
// lookups and vectors, the rows in fp32.
#pragma once

#include <cstddef>

#include "kernels/backend.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/transfers.h"

namespace sluice::kernels::cuda {

class CudaWeight final : public Weight {
 public:
  // Reads and packs piece by piece, each while the one before is copied. Requires: who uses it
  // waits for `uploads`.
  CudaWeight(const WeightSpec& spec, bool halves, const RowReader& reader, PieceUploads& uploads);

  std::size_t rows() const override { return spec_.rows; }
  std::size_t cols() const override { return spec_.cols; }
  std::size_t bytes() const override { return bytes_; }

  // At most, before it is loaded.
  static std::size_t bytes_of(const WeightSpec& spec, bool halves);

  WeightUse use() const { return spec_.use; }
  std::size_t product_rows() const {
    return spec_.product_rows > 0 ? spec_.product_rows : spec_.rows;
  }
  bool is_packed() const { return group_bytes_ > 0; }
  // From `first_row` on, a multiple of 16; rows 0: all that follow.
  PackedRows packed(std::size_t first_row = 0, std::size_t rows = 0) const;
  // (rows, cols). Throws where it is packed.
  const float* floats() const;

 private:
  void load_packed(const RowReader& reader, PieceUploads& uploads);
  void load_rows(const RowReader& reader, PieceUploads& uploads);

  WeightSpec spec_;
  bool halves_;
  std::size_t bytes_ = 0, group_bytes_ = 0;
  DeviceBytes data_;
  DeviceBytes row_scale_;
};

}  // namespace sluice::kernels::cuda
