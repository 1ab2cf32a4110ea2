// A GGUF model's header: metadata and the table of tensors, of one file or of the parts that
// llama-gguf-split makes. Reads nothing of the tensors' bytes until asked; every length, count,
// offset and type is checked against the file before use.
// Source: the GGUF specification (ggml, docs/gguf.md), versions 2 and 3, little-endian.
// Immutable after opening.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "worker/model/weight_files.h"

namespace sluice::worker::model {

// A metadata value. Numbers keep their kind; arrays are homogeneous, never nested here.
using MetaValue =
    std::variant<std::int64_t, std::uint64_t, double, bool, std::string, std::vector<std::int64_t>,
                 std::vector<double>, std::vector<std::string>>;

class Gguf {
 public:
  // Of a split model, `path` is the first part. Throws worker::Error: not a GGUF file, truncated, a
  // lie in the header, an unsupported version or tensor type (named, with the tensor), a part that
  // is missing or of another model.
  static Gguf open(const std::filesystem::path& path);
  Gguf(Gguf&&) noexcept;
  Gguf& operator=(Gguf&&) noexcept;
  ~Gguf();

  const std::filesystem::path& path() const;
  const WeightFiles& weights() const&;
  WeightFiles weights() &&;
  std::uint64_t header_hash() const;  // FNV-1a 64 of the headers' bytes: all ranks must agree on it

  const MetaValue* find(std::string_view key) const;
  // The value as asked, or nullopt when absent; throws when it is there and of another kind.
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  const std::vector<std::string>* strings(std::string_view key) const;
  const std::vector<std::int64_t>* integers(std::string_view key) const;
  const std::vector<double>* numbers(std::string_view key) const;

 private:
  Gguf();
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace sluice::worker::model
