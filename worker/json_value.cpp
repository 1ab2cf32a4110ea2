#include "worker/json_value.h"

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker/error.h"
#include "worker/model/printable.h"
#include "worker/model/read_only_file.h"

namespace sluice::worker {
namespace {

using nlohmann::json;

constexpr int kDepthMax = 32;
constexpr int kElementDepth = 3;  // of what is in a container of the second level

constexpr std::size_t kPathBytesMax = 100;

// As much of a key or a path as a message shows: a key of a million bytes may have as many
// elements.
std::string_view shown(std::string_view key) { return key.substr(0, kPathBytesMax); }

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

JsonDocument::JsonDocument(std::string file, std::string_view text, const Takers& takers) {
  auto data = std::make_unique<Data>();
  data->file = std::move(file);
  const auto fail = [&](const std::string& problem) { throw Error(data->file + ": " + problem); };
  std::array<std::string, kElementDepth + 1> keys;  // of the objects around, by depth
  std::string container;                            // of the second level
  bool container_is_object = false;
  const auto element_taker = [&](int depth) -> const TakeElement* {
    if (depth != kElementDepth) return nullptr;
    const auto found = takers.find(container);
    return found == takers.end() ? nullptr : &found->second;
  };
  const auto keep = [&](int depth, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (depth > kDepthMax) fail("JSON nested more than " + std::to_string(kDepthMax) + " deep");
        if (depth == kElementDepth && container_is_object && element_taker(depth)) {
          fail("key " + model::printable(container + "." + keys[depth]) + " is no number");
        }
        if (depth < kElementDepth) {
          keys[depth + 1].clear();
          container = keys[1] + "." + keys[2];
          container_is_object = event == json::parse_event_t::object_start;
        }
        return true;
      case json::parse_event_t::key:
        if (depth < kElementDepth) keys[depth] = shown(parsed.get_ref<const std::string&>());
        if (depth == kElementDepth) keys[depth] = parsed.get_ref<const std::string&>();
        if (depth == kElementDepth - 1) container = keys[1] + "." + keys[2];
        return !element_taker(depth);
      case json::parse_event_t::value:
      case json::parse_event_t::array_end:
      case json::parse_event_t::object_end:
        break;
    }
    const TakeElement* take = element_taker(depth);
    if (take) (*take)(keys[kElementDepth], JsonValue(&parsed, &data->file, container));
    return !take;
  };
  try {
    data->root = json::parse(text, keep);
  } catch (const json::parse_error& error) {
    fail("is not valid JSON at byte " + std::to_string(error.byte));
  } catch (const json::exception& error) {
    fail("is not valid JSON: " + model::printable(error.what()));
  }
  if (!data->root.is_object()) fail("is no JSON object");
  data_ = std::move(data);
}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

JsonValue JsonDocument::root() const { return {&data_->root, &data_->file, ""}; }

JsonValue::JsonValue(const void* json, const std::string* file, std::string path)
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
  return {found == object.end() ? nullptr : &*found, file_,
          path_ + (path_.empty() ? "" : ".") + std::string(shown(key))};
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
