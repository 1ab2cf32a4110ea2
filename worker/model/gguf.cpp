#include "worker/model/gguf.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "worker/error.h"
#include "worker/model/gguf_header.h"
#include "worker/model/printable.h"
#include "worker/model/read_only_file.h"

namespace sluice::worker::model {

struct Gguf::Data {
  std::filesystem::path path;
  std::map<std::string, MetaValue, std::less<>> metadata;  // of the first part
  std::uint64_t header_hash = 0;
  std::optional<WeightFiles> weights;
};

namespace {

// Names and metadata of a split model: llama.cpp, tools/gguf-split.
constexpr std::int64_t kPartsMax = 99999;

std::string five_digits(std::int64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(5 - std::min<std::size_t>(5, digits.size()), '0') + digits;
}

std::string part_suffix(std::int64_t number, std::int64_t count) {
  return "-" + five_digits(number) + "-of-" + five_digits(count) + ".gguf";
}

// "model-00002-of-00003.gguf"; nullopt when `first` is not named like the first of `count`.
std::optional<std::filesystem::path> path_of_part(const std::filesystem::path& first,
                                                  std::int64_t number, std::int64_t count) {
  const std::string name = first.filename().string(), suffix = part_suffix(1, count);
  if (!name.ends_with(suffix)) return std::nullopt;
  return first.parent_path() /
         (name.substr(0, name.size() - suffix.size()) + part_suffix(number, count));
}

// An integer of 64 bits, signed or not; nullopt when it is another value or too large.
std::optional<std::int64_t> as_integer(const MetaValue& value) {
  if (const auto* signed_value = std::get_if<std::int64_t>(&value)) return *signed_value;
  const auto* wide = std::get_if<std::uint64_t>(&value);
  if (!wide || !std::in_range<std::int64_t>(*wide)) return std::nullopt;
  return static_cast<std::int64_t>(*wide);
}

[[noreturn]] void refuse_kind(const Gguf& file, std::string_view key, std::string_view kind) {
  throw Error(file.path().string() + ": metadata " + printable(key) + " is not " +
              std::string(kind) +
              "; the file is damaged or of a kind that this version does not know");
}

// `value` as T, or an error that says of what kind it is meant to be.
template <class T>
const T* as(const Gguf& file, std::string_view key, std::string_view kind) {
  const MetaValue* value = file.find(key);
  if (!value) return nullptr;
  if (const T* typed = std::get_if<T>(value)) return typed;
  refuse_kind(file, key, kind);
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
  Gguf gguf;
  gguf.data_ = std::make_unique<Data>();
  gguf.data_->path = path;
  std::vector<ReadOnlyFile> files;
  std::vector<TensorInfo> tensors;
  const auto add_part = [&](GgufHeader header) {
    for (TensorInfo& tensor : header.tensors) tensor.file = files.size() - 1;
    std::ranges::move(header.tensors, std::back_inserter(tensors));
    gguf.data_->header_hash = header.hash;
  };
  GgufHeader first = read_gguf_header(files.emplace_back(path));
  gguf.data_->metadata = std::exchange(first.metadata, {});
  add_part(std::move(first));

  const std::int64_t parts = gguf.integer("split.count").value_or(1);
  for (std::int64_t number = 2; number <= parts; ++number) {
    const auto part = parts <= kPartsMax ? path_of_part(path, number, parts) : std::nullopt;
    if (!part || gguf.integer("split.no") != 0) {
      throw Error(path.string() + ": is a part of a model split in " + std::to_string(parts) +
                  "; name the first part, which ends in " + part_suffix(1, parts));
    }
    GgufHeader header = read_gguf_header(files.emplace_back(*part), gguf.header_hash());
    const auto claims = [&](std::string_view key) {
      const auto found = header.metadata.find(key);
      return found == header.metadata.end() ? std::nullopt : as_integer(found->second);
    };
    if (claims("split.no") != number - 1 || claims("split.count") != parts) {
      throw Error(part->string() + ": is not part " + std::to_string(number) + " of the " +
                  std::to_string(parts) + " that " + path.string() + " begins; fetch it again");
    }
    add_part(std::move(header));
  }
  if (const auto whole = gguf.integer("split.tensors.count");
      parts > 1 && whole && *whole != static_cast<std::int64_t>(tensors.size())) {
    throw Error(path.string() + ": its parts hold " + std::to_string(tensors.size()) +
                " tensors, not " + std::to_string(*whole) +
                "; they are of different models: fetch them again");
  }
  gguf.data_->weights.emplace(std::move(files), std::move(tensors));
  return gguf;
}

const std::filesystem::path& Gguf::path() const { return data_->path; }
const WeightFiles& Gguf::weights() const& { return *data_->weights; }
WeightFiles Gguf::weights() && { return *std::move(data_->weights); }
std::uint64_t Gguf::header_hash() const { return data_->header_hash; }

const MetaValue* Gguf::find(std::string_view key) const {
  const auto found = data_->metadata.find(key);
  return found == data_->metadata.end() ? nullptr : &found->second;
}

std::optional<std::int64_t> Gguf::integer(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return std::nullopt;
  if (const auto integer = as_integer(*value)) return integer;
  refuse_kind(*this, key, "an integer of 64 bits");
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

}  // namespace sluice::worker::model
