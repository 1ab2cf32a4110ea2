#include "kernels/cpu/weight.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/operations.h"

namespace sluice::kernels::cpu {
namespace {

constexpr std::size_t kReadBytes = std::size_t{4} << 20;  // a piece that suits a disk

// Calls move(offset in the file's block, offset in the packed group, bytes) for each unit.
template <class Move>
void for_each_unit(const BlockFormat& format, int lane, Move move) {
  int offset = 0;
  for (const auto& [count, bytes] : format.units) {
    for (int i = 0; i < count; ++i, offset += bytes) {
      move(offset, offset * kLanes + lane * bytes, bytes);
    }
  }
}

std::size_t strips_of(std::size_t rows) { return (rows + kStripRows - 1) / kStripRows; }

}  // namespace

CpuWeight::CpuWeight(const WeightSpec& spec, const RowReader& reader) : spec_(spec) {
  switch (spec.use) {
    case WeightUse::product:
      load_packed(reader);
      break;
    case WeightUse::lookup:
      load_rows(reader);
      break;
    case WeightUse::vector:
      load_vector(reader);
      break;
  }
}

std::size_t CpuWeight::strip_bytes() const { return bytes_of(spec_.type, kStripRows * spec_.cols); }

void CpuWeight::load_packed(const RowReader& reader) {
  const auto format = block_format(spec_.type);
  const std::size_t block_bytes = format.bytes;
  const std::size_t row_bytes = bytes_of(spec_.type, spec_.cols);
  const std::size_t strips = strips_of(spec_.rows);
  bytes_ = strips * strip_bytes();
  data_ = allocate_bytes(bytes_);

  const std::size_t read_strips = std::max<std::size_t>(1, kReadBytes / strip_bytes());
  std::vector<std::byte> piece(std::min(read_strips, strips) * strip_bytes());
  for (std::size_t strip = 0; strip < strips; strip += read_strips) {
    const std::size_t first_row = strip * kStripRows;
    const std::size_t last_row = std::min(spec_.rows, (strip + read_strips) * kStripRows);
    const std::size_t padded = std::min(strips - strip, read_strips) * kStripRows;
    const auto rows = std::span(piece).first((last_row - first_row) * row_bytes);
    reader(first_row, last_row - first_row, rows);
    std::fill(piece.begin() + rows.size(), piece.end(), std::byte{0});
    for (std::size_t row = 0; row < padded; ++row) {
      const std::byte* from = piece.data() + row * row_bytes;
      std::byte* to = data_.get() + (strip + row / kStripRows) * strip_bytes() +
                      row % kStripRows / kLanes * block_bytes * kLanes;
      for (std::size_t block = 0; block < row_bytes / block_bytes; ++block) {
        for_each_unit(format, row % kLanes, [&](int file, int packed, int bytes) {
          std::memcpy(to + packed, from + file, bytes);
        });
        from += block_bytes;
        to += block_bytes * kStripRows;
      }
    }
  }
}

void CpuWeight::load_rows(const RowReader& reader) {
  const std::size_t row_bytes = bytes_of(spec_.type, spec_.cols);
  bytes_ = spec_.rows * row_bytes;
  data_ = allocate_bytes(bytes_);
  const std::size_t read_rows = std::max<std::size_t>(1, kReadBytes / row_bytes);
  for (std::size_t row = 0; row < spec_.rows; row += read_rows) {
    const std::size_t n = std::min(read_rows, spec_.rows - row);
    reader(row, n, {data_.get() + row * row_bytes, n * row_bytes});
  }
}

void CpuWeight::load_vector(const RowReader& reader) {
  std::vector<std::byte> file(bytes_of(spec_.type, spec_.cols));
  reader(0, 1, file);
  bytes_ = spec_.cols * sizeof(float);
  data_ = allocate_bytes(bytes_);
  expand(spec_.type, file, {reinterpret_cast<float*>(data_.get()), spec_.cols});
}

void CpuWeight::read_row(std::size_t row, std::span<float> out) const {
  const std::size_t row_bytes = bytes_of(spec_.type, spec_.cols);
  switch (spec_.use) {
    case WeightUse::vector:
      std::copy_n(vector(), spec_.cols, out.begin());
      return;
    case WeightUse::lookup:
      expand(spec_.type, {data_.get() + row * row_bytes, row_bytes}, out);
      return;
    case WeightUse::product:
      break;
  }
  const auto format = block_format(spec_.type);
  const std::byte* from = data_.get() + row / kStripRows * strip_bytes() +
                          row % kStripRows / kLanes * format.bytes * kLanes;
  std::vector<std::byte> block(format.bytes);
  for (std::size_t col = 0; col < spec_.cols; col += format.values) {
    for_each_unit(format, row % kLanes, [&](int file, int packed, int bytes) {
      std::memcpy(&block[file], from + packed, bytes);
    });
    expand(spec_.type, block, out.subspan(col, format.values));
    from += format.bytes * kStripRows;
  }
}

}  // namespace sluice::kernels::cpu
