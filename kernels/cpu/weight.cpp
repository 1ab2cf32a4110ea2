#include "kernels/cpu/weight.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/cpu/packed_rows.h"
#include "kernels/cpu/packing.h"
#include "kernels/error.h"

namespace sluice::kernels::cpu {
namespace {

constexpr std::size_t kReadBytes = std::size_t{4} << 20;  // a piece that suits a disk

}  // namespace

CpuWeight::CpuWeight(const WeightSpec& spec, const RowReader& reader, Arena& arena) : spec_(spec) {
  switch (spec.use) {
    case WeightUse::product:
      load_packed(reader, arena);
      load_rows(reader, product_rows());
      break;
    case WeightUse::lookup:
      load_rows(reader, 0);
      break;
    case WeightUse::vector:
      load_vector(reader);
      break;
  }
}

void CpuWeight::load_packed(const RowReader& reader, Arena& arena) {
  const std::size_t row_bytes = bytes_of(spec_.type, spec_.cols);
  group_bytes_ = cpu::group_bytes(spec_.type, spec_.cols);
  const std::size_t rows = product_rows();
  bytes_ = (rows + kGroupRows - 1) / kGroupRows * group_bytes_;
  data_ = arena.allocate(bytes_);
  const std::size_t piece_rows = std::clamp<std::size_t>(kReadBytes / row_bytes, 1, rows);
  std::vector<std::byte> piece(piece_rows * row_bytes);
  for (std::size_t first = 0; first < rows; first += piece_rows) {
    const std::size_t count = std::min(piece_rows, rows - first);
    reader(first, count, std::span(piece).first(count * row_bytes));
    for (std::size_t row = first; row < first + count; ++row) {
      pack_row(spec_.type, std::span(piece).subspan((row - first) * row_bytes, row_bytes),
               static_cast<int>(row % kGroupRows), data_.get() + row / kGroupRows * group_bytes_);
    }
  }
}

void CpuWeight::load_rows(const RowReader& reader, std::size_t first) {
  const std::size_t row_bytes = bytes_of(spec_.type, spec_.cols);
  const std::size_t piece_rows = std::max<std::size_t>(1, kReadBytes / row_bytes);
  looked_up_ = allocate_bytes((spec_.rows - first) * row_bytes);
  bytes_ += (spec_.rows - first) * row_bytes;
  for (std::size_t row = first; row < spec_.rows; row += piece_rows) {
    const std::size_t count = std::min(piece_rows, spec_.rows - row);
    reader(row, count, {looked_up_.get() + (row - first) * row_bytes, count * row_bytes});
  }
}

void CpuWeight::load_vector(const RowReader& reader) {
  std::vector<std::byte> file(bytes_of(spec_.type, spec_.cols));
  reader(0, 1, file);
  bytes_ = spec_.cols * sizeof(float);
  data_ = allocate_bytes(bytes_);
  expand(spec_.type, file, {reinterpret_cast<float*>(data_.get()), spec_.cols});
}

const float* CpuWeight::float_rows() const {
  if (spec_.type != WeightType::f32 || spec_.use != WeightUse::lookup) {
    throw Error("kernels: a lookup of floats is needed, not of " +
                std::string(block_format(spec_.type).name));
  }
  return reinterpret_cast<const float*>(looked_up_.get());
}

void CpuWeight::read_row(std::size_t row, std::span<float> out) const {
  if (spec_.use == WeightUse::vector) {
    std::copy_n(vector(), spec_.cols, out.begin());
    return;
  }
  const std::size_t packed = spec_.use == WeightUse::product ? product_rows() : 0;
  if (row < packed) {
    unpack_row(spec_.type, data_.get() + row / kGroupRows * group_bytes_,
               static_cast<int>(row % kGroupRows), out);
  } else {
    const std::size_t row_bytes = bytes_of(spec_.type, spec_.cols);
    expand(spec_.type, {looked_up_.get() + (row - packed) * row_bytes, row_bytes}, out);
  }
}

}  // namespace sluice::kernels::cpu
