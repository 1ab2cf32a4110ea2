#include "kernels/cuda/weight.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/cuda/packed_rows.h"
#include "kernels/cuda/packing.h"
#include "kernels/error.h"

namespace sluice::kernels::cuda {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;  // suits a disk

bool is_to_be_packed(const WeightSpec& spec, bool halves) {
  return spec.use == WeightUse::product ||
         (spec.use == WeightUse::lookup && packing_of(spec.type, halves).is_coded());
}

std::size_t groups_of(const WeightSpec& spec) { return (spec.rows + kGroupRows - 1) / kGroupRows; }

}  // namespace

std::size_t CudaWeight::bytes_of(const WeightSpec& spec, bool halves) {
  if (!is_to_be_packed(spec, halves)) return spec.rows * spec.cols * sizeof(float);
  const Packing packing = packing_of(spec.type, halves);
  return groups_of(spec) * packing.group_bytes(spec.cols) +
         (packing.is_coded() ? 0 : spec.rows * sizeof(float));
}

CudaWeight::CudaWeight(const WeightSpec& spec, bool halves, const RowReader& reader,
                       PieceUploads& uploads)
    : spec_(spec), halves_(halves) {
  if (is_to_be_packed(spec, halves)) {
    load_packed(reader, uploads);
  } else {
    load_rows(reader, uploads);
  }
}

void CudaWeight::load_packed(const RowReader& reader, PieceUploads& uploads) {
  const Packing packing = packing_of(spec_.type, halves_);
  group_bytes_ = packing.group_bytes(spec_.cols);
  const std::size_t groups = groups_of(spec_);
  bytes_ = groups * group_bytes_;
  data_ = allocate_device(bytes_);
  std::vector<float> row_scale;
  const std::size_t row_bytes = kernels::bytes_of(spec_.type, spec_.cols);
  const std::size_t piece_groups =
      std::clamp<std::size_t>(kPieceBytes / (row_bytes * kGroupRows), 1, groups);
  std::vector<std::byte> file(piece_groups * kGroupRows * row_bytes);
  for (std::size_t first = 0; first < groups; first += piece_groups) {
    const std::size_t count = std::min(piece_groups, groups - first);
    const std::size_t first_row = first * kGroupRows;
    const std::size_t rows = std::min(count * kGroupRows, spec_.rows - first_row);
    reader(first_row, rows, std::span(file).first(rows * row_bytes));
    const std::span packed = uploads.room(count * group_bytes_);
    std::ranges::fill(packed, std::byte{});
    for (std::size_t row = 0; row < rows; ++row) {
      row_scale.push_back(pack_row(
          spec_.type, halves_, std::span(file).subspan(row * row_bytes, row_bytes),
          static_cast<int>(row % kGroupRows), packed.data() + row / kGroupRows * group_bytes_));
    }
    uploads.send(data_.get() + first * group_bytes_, packed.size());
  }
  if (std::ranges::any_of(row_scale, [](float scale) { return scale != 1; })) {
    const std::size_t scale_bytes = row_scale.size() * sizeof(float);
    row_scale_ = allocate_device(scale_bytes);
    bytes_ += scale_bytes;
    std::memcpy(uploads.room(scale_bytes).data(), row_scale.data(), scale_bytes);
    uploads.send(row_scale_.get(), scale_bytes);
  }
}

void CudaWeight::load_rows(const RowReader& reader, PieceUploads& uploads) {
  const std::size_t row_bytes = kernels::bytes_of(spec_.type, spec_.cols);
  bytes_ = spec_.rows * spec_.cols * sizeof(float);
  data_ = allocate_device(bytes_);
  const std::size_t piece_rows = std::clamp<std::size_t>(kPieceBytes / row_bytes, 1, spec_.rows);
  std::vector<std::byte> file(piece_rows * row_bytes);
  for (std::size_t row = 0; row < spec_.rows; row += piece_rows) {
    const std::size_t count = std::min(piece_rows, spec_.rows - row);
    const auto bytes = std::span(file).first(count * row_bytes);
    reader(row, count, bytes);
    const std::size_t piece_bytes = count * spec_.cols * sizeof(float);
    auto* const floats = reinterpret_cast<float*>(uploads.room(piece_bytes).data());
    expand(spec_.type, bytes, {floats, count * spec_.cols});
    uploads.send(data_.get() + row * spec_.cols * sizeof(float), piece_bytes);
  }
}

PackedRows CudaWeight::packed(std::size_t first_row, std::size_t rows) const {
  const auto* row_scale = reinterpret_cast<const float*>(row_scale_.get());
  return {.type = spec_.type,
          .halves = halves_,
          .groups = data_.get() + first_row / kGroupRows * group_bytes_,
          .group_bytes = group_bytes_,
          .row_scale = row_scale == nullptr ? nullptr : row_scale + first_row,
          .rows = rows > 0 ? rows : spec_.rows - first_row,
          .cols = spec_.cols};
}

const float* CudaWeight::floats() const {
  if (is_packed()) {
    throw Error("kernels: a vector or a lookup of floats is needed, not of " +
                std::string(block_format(spec_.type).name));
  }
  return reinterpret_cast<const float*>(data_.get());
}

}  // namespace sluice::kernels::cuda
