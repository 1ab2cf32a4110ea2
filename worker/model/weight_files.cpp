#include "worker/model/weight_files.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "worker/error.h"
#include "worker/model/printable.h"

namespace sluice::worker::model {
namespace {

std::optional<std::uint64_t> product(std::uint64_t a, std::uint64_t b) {
  if (b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b) return std::nullopt;
  return a * b;
}

}  // namespace

WeightFiles::WeightFiles(std::vector<ReadOnlyFile> files, std::vector<TensorInfo> tensors)
    : files_(std::move(files)), tensors_(std::move(tensors)) {
  for (const TensorInfo& tensor : tensors_) {
    const auto [found, added] = by_name_.try_emplace(tensor.name, &tensor);
    if (added) continue;
    throw Error(path_of(tensor).string() + ": tensor " + printable(tensor.name) +
                " stands twice, first in " + path_of(*found->second).string() +
                "; the file is damaged");
  }
}

const TensorInfo* WeightFiles::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::uint64_t WeightFiles::bytes() const {
  return std::accumulate(
      files_.begin(), files_.end(), std::uint64_t{0},
      [](std::uint64_t sum, const ReadOnlyFile& file) { return sum + file.bytes(); });
}

std::uint64_t WeightFiles::parameters() const {
  return std::accumulate(
      tensors_.begin(), tensors_.end(), std::uint64_t{0},
      [](std::uint64_t sum, const TensorInfo& tensor) { return sum + tensor.rows * tensor.cols; });
}

const std::filesystem::path& WeightFiles::path_of(const TensorInfo& tensor) const {
  return files_[tensor.file].path();
}

void WeightFiles::read(const TensorInfo& tensor, std::uint64_t offset,
                       std::span<std::byte> out) const {
  if (offset > tensor.bytes || out.size() > tensor.bytes - offset) {
    throw Error(path_of(tensor).string() + ": tensor " + printable(tensor.name) + " has only " +
                std::to_string(tensor.bytes) + " bytes");
  }
  files_[tensor.file].read_at(tensor.offset + offset, out);
}

void refuse_overlaps(const std::filesystem::path& path, std::span<const TensorInfo> tensors) {
  std::vector<const TensorInfo*> order;
  for (const TensorInfo& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, {}, &TensorInfo::offset);
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset) {
      throw Error(path.string() + ": tensor " + printable(order[i]->name) + " overlaps tensor " +
                  printable(order[i - 1]->name) + "; the file is damaged");
    }
  }
}

std::uint64_t tensor_bytes(const std::string& subject, kernels::WeightType type,
                           std::span<const std::uint64_t> outer, std::uint64_t cols) {
  const auto block = kernels::block_format(type);
  if (cols % block.values != 0) {
    throw Error(subject + ": has rows of " + std::to_string(cols) +
                " values, not a multiple of a " + std::string(block.name) + " block's " +
                std::to_string(block.values));
  }
  auto bytes = product(cols / block.values, block.bytes);
  for (const std::uint64_t size : outer) {
    if (bytes) bytes = product(*bytes, size);
  }
  if (!bytes || *bytes == 0) {
    throw Error(subject +
                ": has an impossible shape (a dimension is 0, or their product passes 64 bits)");
  }
  return *bytes;
}

}  // namespace sluice::worker::model
