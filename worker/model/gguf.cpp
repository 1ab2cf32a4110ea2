#include "worker/model/gguf.h"

#include <utility>

#include "worker/error.h"
#include "worker/model/gguf_header.h"
#include "worker/model/printable.h"
#include "worker/model/read_only_file.h"

namespace sluice::worker::model {

struct Gguf::Data {
  ReadOnlyFile file;
  GgufHeader header;
  std::map<std::string_view, const TensorInfo*> by_name;
};

namespace {

[[noreturn]] void refuse_split(const std::filesystem::path& path) {
  throw Error(path.string() +
              ": is one part of a split model, which this version does not support; "
              "merge the parts into one file (llama-gguf-split --merge)");
}

// `value` as T, or an error that says of what kind it is meant to be.
template <class T>
const T* as(const Gguf& file, std::string_view key, std::string_view kind) {
  const MetaValue* value = file.find(key);
  if (!value) return nullptr;
  if (const T* typed = std::get_if<T>(value)) return typed;
  throw Error(file.path().string() + ": metadata " + printable(key) + " is not " +
              std::string(kind) +
              "; the file is damaged or of a kind that this version does not know");
}

template <class T>
std::optional<T> copy(const T* value) {
  return value ? std::optional(*value) : std::nullopt;
}

}  // namespace

Gguf::Gguf() = default;
Gguf::Gguf(Gguf&&) noexcept = default;
Gguf& Gguf::operator=(Gguf&&) noexcept = default;
Gguf::~Gguf() = default;

Gguf Gguf::open(const std::filesystem::path& path) {
  ReadOnlyFile file(path);
  GgufHeader header = read_gguf_header(file);
  Gguf gguf;
  gguf.data_.reset(new Data{std::move(file), std::move(header), {}});
  for (const TensorInfo& tensor : gguf.tensors()) gguf.data_->by_name[tensor.name] = &tensor;
  if (gguf.integer("split.count").value_or(1) > 1) refuse_split(path);
  return gguf;
}

const std::filesystem::path& Gguf::path() const { return data_->file.path(); }
std::uint64_t Gguf::file_bytes() const { return data_->file.bytes(); }
std::uint64_t Gguf::header_hash() const { return data_->header.hash; }
const std::vector<TensorInfo>& Gguf::tensors() const { return data_->header.tensors; }

const MetaValue* Gguf::find(std::string_view key) const {
  const auto found = data_->header.metadata.find(key);
  return found == data_->header.metadata.end() ? nullptr : &found->second;
}

std::optional<std::int64_t> Gguf::integer(std::string_view key) const {
  const MetaValue* value = find(key);
  if (const auto* wide = value ? std::get_if<std::uint64_t>(value) : nullptr;
      wide && std::in_range<std::int64_t>(*wide)) {
    return static_cast<std::int64_t>(*wide);
  }
  return copy(as<std::int64_t>(*this, key, "an integer of 64 bits"));
}

std::optional<double> Gguf::number(std::string_view key) const {
  return copy(as<double>(*this, key, "a floating-point number"));
}

std::optional<bool> Gguf::boolean(std::string_view key) const {
  return copy(as<bool>(*this, key, "a boolean"));
}

std::optional<std::string> Gguf::string(std::string_view key) const {
  return copy(as<std::string>(*this, key, "a string"));
}

const std::vector<std::string>* Gguf::strings(std::string_view key) const {
  return as<std::vector<std::string>>(*this, key, "an array of strings");
}

const std::vector<std::int64_t>* Gguf::integers(std::string_view key) const {
  return as<std::vector<std::int64_t>>(*this, key, "an array of integers");
}

const std::vector<double>* Gguf::numbers(std::string_view key) const {
  return as<std::vector<double>>(*this, key, "an array of floating-point numbers");
}

const TensorInfo* Gguf::tensor(std::string_view name) const {
  const auto found = data_->by_name.find(name);
  return found == data_->by_name.end() ? nullptr : found->second;
}

void Gguf::read_bytes(std::uint64_t offset, std::span<std::byte> out) const {
  data_->file.read_at(offset, out);
}

}  // namespace sluice::worker::model
