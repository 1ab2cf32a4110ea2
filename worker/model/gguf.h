// A GGUF file's header: metadata and the table of tensors. Reads nothing of the tensors' bytes
// until asked; every length, count, offset and type is checked against the file before use.
// Source: the GGUF specification (ggml, docs/gguf.md), versions 2 and 3, little-endian.
// Immutable after opening; read_bytes may be called from several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/quant.h"

namespace sluice::worker::model {

struct TensorInfo {
  std::string name;
  kernels::WeightType type = kernels::WeightType::f32;
  std::size_t rows = 1;  // outer dimension(s); a vector is one row
  std::size_t cols = 0;  // the dimension that lies dense in the file
  std::uint64_t offset = 0;  // of the first byte in the file
  std::uint64_t bytes = 0;
};

// A metadata value. Numbers keep their kind; arrays are homogeneous, never nested here.
using MetaValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string,
                               std::vector<std::int64_t>, std::vector<double>,
                               std::vector<std::string>>;

class Gguf {
 public:
  // Throws worker::Error: not a GGUF file, truncated, a lie in the header, an unsupported version
  // or tensor type (named, with the tensor).
  static Gguf open(const std::filesystem::path& path);
  Gguf(Gguf&&) noexcept;
  Gguf& operator=(Gguf&&) noexcept;
  ~Gguf();

  const std::filesystem::path& path() const;
  std::uint64_t file_bytes() const;
  std::uint64_t header_hash() const;  // FNV-1a 64 of the header's bytes: all ranks must agree on it

  const MetaValue* find(std::string_view key) const;
  // The value as asked, or nullopt when absent; throws when it is there and of another kind.
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  const std::vector<std::string>* strings(std::string_view key) const;
  const std::vector<std::int64_t>* integers(std::string_view key) const;
  const std::vector<double>* numbers(std::string_view key) const;

  const TensorInfo* tensor(std::string_view name) const;  // nullptr: absent
  const std::vector<TensorInfo>& tensors() const;

  // Sequential pread of [offset, offset + out.size()) of the file; throws when it is not all there.
  void read_bytes(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  Gguf();
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace sluice::worker::model
