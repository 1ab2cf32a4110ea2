// The tensors of a model, and the files in which their bytes lie: one GGUF file or its parts, the
// shards of a Hugging Face folder. Immutable; read may be called from several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/quant.h"
#include "worker/model/read_only_file.h"

namespace sluice::worker::model {

struct TensorInfo {
  std::string name;
  kernels::WeightType type = kernels::WeightType::f32;
  std::size_t rows = 1;      // outer dimension(s); a vector is one row
  std::size_t cols = 0;      // the dimension that lies dense in the file
  std::size_t file = 0;      // in which of the files
  std::uint64_t offset = 0;  // of the first byte in that file
  std::uint64_t bytes = 0;
};

class WeightFiles {
 public:
  // Throws worker::Error, with the files' names, when a tensor stands twice.
  WeightFiles(std::vector<ReadOnlyFile> files, std::vector<TensorInfo> tensors);

  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find(std::string_view name) const;  // nullptr: absent
  std::uint64_t bytes() const;                          // of all files
  std::uint64_t parameters() const;
  const std::filesystem::path& path_of(const TensorInfo& tensor) const;

  // Sequential pread of bytes [offset, offset + out.size()) of the tensor; throws when they are not
  // all there.
  void read(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const;
  // Asks the system to fetch that part of the tensor meanwhile.
  void will_read(const TensorInfo& tensor, std::uint64_t offset, std::uint64_t bytes) const {
    files_[tensor.file].will_read(tensor.offset + offset, bytes);
  }

 private:
  std::vector<ReadOnlyFile> files_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string_view, const TensorInfo*> by_name_;
};

// Throws worker::Error when two tensors of one file share bytes; `tensors` lie within their files.
void refuse_overlaps(const std::filesystem::path& path, std::span<const TensorInfo> tensors);

// Bytes of a tensor of that shape: rows x cols in whole blocks. Throws worker::Error, which begins
// with `subject`, when a dimension is 0, a row is no whole number of blocks or 64 bits do not hold
// the product.
std::uint64_t tensor_bytes(const std::string& subject, kernels::WeightType type,
                           std::span<const std::uint64_t> outer, std::uint64_t cols);

}  // namespace sluice::worker::model
