#include "worker/json_value.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "worker/error.h"
#include "worker/model/printable.h"
#include "worker/model/read_only_file.h"

namespace sluice::worker {
namespace {

using nlohmann::json;

constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kTakenDepth = 2;  // of containers whose elements may be taken

constexpr std::size_t kPathBytesMax = 100;

// As much of a key or a path as a message shows: a key of a million bytes may have as many
// elements.
std::string_view shown(std::string_view key) { return key.substr(0, kPathBytesMax); }

std::string way(std::string_view to, std::string_view key) {
  return std::string(to) + (to.empty() ? "" : ".") + std::string(shown(key));
}

const json& as_json(const void* value) {
  static const json null;
  return value ? *static_cast<const json*>(value) : null;
}

}  // namespace

struct JsonDocument::Data {
  std::string file;
  json root;
};

JsonDocument::JsonDocument(const std::filesystem::path& path, std::uint64_t bytes_max,
                           const Takers& takers)
    : JsonDocument(path.string(), model::read_small_file(path, bytes_max), takers) {}

// nlohmann's own parser with a callback looks, after each object, through all that stand beside it:
// a header of a million tensors would take it hours.
class JsonDocument::Builder : public nlohmann::json_sax<json> {
 public:
  Builder(Data& data, const Takers& takers) : data_(data), takers_(takers) {}

  bool null() override { return put_value(nullptr); }
  bool boolean(bool value) override { return put_value(value); }
  bool number_integer(std::int64_t value) override { return put_value(value); }
  bool number_unsigned(std::uint64_t value) override { return put_value(value); }
  bool number_float(double value, const std::string&) override { return put_value(value); }
  bool string(std::string& value) override { return put_value(std::move(value)); }
  bool binary(json::binary_t&) override { return false; }  // is in no text
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& key) override {
    levels_.back().key = std::move(key);
    return true;
  }
  bool parse_error(std::size_t byte, const std::string&, const json::exception&) override {
    fail("is not valid JSON at byte " + std::to_string(byte));
  }

 private:
  struct Level {
    json* container;
    const TakeElement* take = nullptr;  // of its elements
    std::string key = {};               // of the last member; "" in arrays
  };

  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(data_.file + ": " + problem);
  }

  json* put(json value) {
    json* place = &data_.root;
    if (levels_.empty()) {
      *place = std::move(value);
    } else if (Level& around = levels_.back(); around.take) {
      place = &element_;
      *place = std::move(value);
    } else if (around.container->is_object()) {
      place = &((*around.container)[around.key] = std::move(value));
    } else {
      place = &around.container->emplace_back(std::move(value));
    }
    return place;
  }

  bool put_value(json value) {
    put(std::move(value));
    give_element();
    return true;
  }

  // What is open stays where it is: it is the last of the container around it.
  bool open(json container) {
    if (levels_.size() > kDepthMax) {
      fail("JSON nested more than " + std::to_string(kDepthMax) + " deep");
    }
    if (!levels_.empty() && levels_.back().take && levels_.back().container->is_object()) {
      fail("key " + model::printable(taken_ + "." + levels_.back().key) + " is no number");
    }
    Level level{.container = put(std::move(container))};
    if (levels_.size() == kTakenDepth) {
      const std::string name = way(shown(levels_[0].key), levels_[1].key);
      if (const auto found = takers_.find(name); found != takers_.end()) {
        level.take = &found->second;
        taken_ = name;
      }
    }
    levels_.push_back(std::move(level));
    return true;
  }

  bool close() {
    levels_.pop_back();
    give_element();
    return true;
  }

  void give_element() {
    if (levels_.empty() || !levels_.back().take) return;
    (*levels_.back().take)(levels_.back().key, JsonValue(&element_, &data_.file, taken_));
  }

  Data& data_;
  const Takers& takers_;
  std::vector<Level> levels_;  // the open containers
  std::string taken_;          // the way to the one whose elements are taken
  json element_;
};

JsonDocument::JsonDocument(std::string file, std::string_view text, const Takers& takers) {
  auto data = std::make_unique<Data>();
  data->file = std::move(file);
  Builder builder(*data, takers);
  json::sax_parse(text, &builder);
  if (!data->root.is_object()) throw Error(data->file + ": is no JSON object");
  data_ = std::move(data);
}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

JsonValue JsonDocument::root() const { return {&data_->root, &data_->file, ""}; }

JsonValue::JsonValue(const void* json, const std::string* file, std::string_view path)
    : json_(json), file_(file), path_(shown(path)) {}

bool JsonValue::is_null() const { return as_json(json_).is_null(); }
bool JsonValue::is_object() const { return as_json(json_).is_object(); }
bool JsonValue::is_array() const { return as_json(json_).is_array(); }
bool JsonValue::is_integer() const { return as_json(json_).is_number_integer(); }
bool JsonValue::is_string() const { return as_json(json_).is_string(); }

JsonValue JsonValue::operator[](std::string_view key) const {
  if (!is_null() && !is_object()) fail("is no object");
  const json& object = as_json(json_);
  const auto found = object.find(key);
  return {found == object.end() ? nullptr : &*found, file_, way(path_, key)};
}

JsonElements JsonValue::elements() const { return JsonElements(*this); }

void JsonValue::for_each_member(
    const std::function<void(const std::string&, const JsonValue&)>& use) const {
  if (is_null()) return;
  if (!is_object()) fail("is no object");
  for (const auto& [key, value] : as_json(json_).items()) use(key, (*this)[key]);
}

JsonElements::JsonElements(JsonValue array) : array_(std::move(array)) {
  if (!array_.is_null() && !array_.is_array()) array_.fail("is no array");
}

std::size_t JsonElements::size() const { return as_json(array_.json_).size(); }

JsonValue JsonElements::operator[](std::size_t i) const {
  return {&as_json(array_.json_)[i], array_.file_, array_.path_ + "[" + std::to_string(i) + "]"};
}

std::string JsonValue::string() const {
  if (!is_string()) fail("is no string");
  return as_json(json_).get<std::string>();
}

bool JsonValue::boolean() const {
  if (!as_json(json_).is_boolean()) fail("is not true or false");
  return as_json(json_).get<bool>();
}

std::int64_t JsonValue::integer() const {
  const json& value = as_json(json_);
  const bool fits =
      value.is_number_integer() &&
      (!value.is_number_unsigned() || std::in_range<std::int64_t>(value.get<std::uint64_t>()));
  if (!fits) fail("is no integer of 64 bits");
  return value.get<std::int64_t>();
}

std::uint64_t JsonValue::natural() const {
  const json& value = as_json(json_);
  if (!value.is_number_unsigned()) fail("is no natural number of 64 bits");
  return value.get<std::uint64_t>();
}

double JsonValue::number() const {
  const json& value = as_json(json_);
  if (!value.is_number() || !std::isfinite(value.get<double>())) fail("is no number");
  return value.get<double>();
}

std::string JsonValue::subject() const {
  return *file_ + (path_.empty() ? ":" : ": key " + model::printable(path_));
}

void JsonValue::fail(const std::string& problem) const {
  throw Error(subject() + " " + (is_null() ? "is missing (" + problem + ")" : problem));
}

void JsonValue::refuse(std::string_view supported) const {
  fail("is " + model::printable(string()) +
       ", which is not supported by this version (supported: " + std::string(supported) + ")");
}

}  // namespace sluice::worker
