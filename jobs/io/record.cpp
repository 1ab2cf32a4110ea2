#include "jobs/io/record.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "jobs/error.h"
#include "jobs/io/json.h"
#include "jobs/limits.h"
#include "jobs/spec.h"

namespace sluice::jobs::io {
namespace {

using Json = nlohmann::ordered_json;

// Each returns false when the JSON value is not of that type or out of its range.

bool assign(const Json& json, bool& value) {
  if (!json.is_boolean()) return false;
  value = json.get<bool>();
  return true;
}

bool assign(const Json& json, std::int64_t& value) {
  if (!json.is_number_integer()) return false;
  if (json.is_number_unsigned() &&
      json.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
    return false;
  }
  value = json.get<std::int64_t>();
  return true;
}

// int, which std::int32_t is too.
bool assign(const Json& json, int& value) {
  std::int64_t wide = 0;
  if (!assign(json, wide) || wide < std::numeric_limits<int>::min() ||
      wide > std::numeric_limits<int>::max()) {
    return false;
  }
  value = static_cast<int>(wide);
  return true;
}

bool assign(const Json& json, double& value) {
  if (!json.is_number() && !json.is_null()) return false;
  value = json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
  return true;
}

bool assign(const Json& json, std::string& value) {
  if (!json.is_string()) return false;
  value = json.get<std::string>();
  return true;
}

bool assign(const Json& json, RunId& value) {
  std::string text;
  if (!assign(json, text)) return false;
  const auto run = parse_run_id(text);
  if (run) value = *run;
  return run.has_value();
}

template <class Item>
bool assign(const Json& json, std::vector<Item>& value) {
  if (!json.is_array()) return false;
  value.clear();
  for (const Json& item : json) {
    if (!assign(item, value.emplace_back())) return false;
  }
  return true;
}

bool assign(const Json& json, std::map<std::string, std::string>& value) {
  if (!json.is_object()) return false;
  value.clear();
  for (const auto& [key, item] : json.items()) {
    if (!assign(item, value[key])) return false;
  }
  return true;
}

bool assign(const Json& json, std::map<std::int32_t, double>& value) {
  if (!json.is_object()) return false;
  value.clear();
  for (const auto& [key, item] : json.items()) {
    std::int32_t number = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
    if (error != std::errc() || end != key.data() + key.size()) return false;
    if (!assign(item, value[number])) return false;
  }
  return true;
}

template <class Value>
Json to_value(const Value& value) {
  return Json(value);
}
Json to_value(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json to_value(RunId value) { return Json(to_string(value)); }
Json to_value(const std::map<std::int32_t, double>& value) {
  Json json = Json::object();
  for (const auto& [key, item] : value) json[std::to_string(key)] = to_value(item);
  return json;
}

}  // namespace

struct Record::Data {
  bool reading = false;
  bool needed = false;            // the next key
  std::string what;               // the document, for messages
  std::vector<Json> levels;       // the object at hand is the last
  std::vector<std::string> keys;  // of levels[1..]

  std::string path_of(std::string_view key) const {
    std::string path;
    for (const auto& outer : keys) path += outer + ".";
    return path + std::string(key);
  }

  [[noreturn]] void refuse(const std::string& why) const { throw Error(what + ": " + why); }

  // The key's value, which is then gone from the object: what stays to the end is unknown.
  std::optional<Json> take(const char* key) {
    const bool must = std::exchange(needed, false);
    Json& object = levels.back();
    const auto found = object.find(key);
    if (found == object.end()) {
      if (must) refuse("the key \"" + path_of(key) + "\" is missing");
      return std::nullopt;
    }
    Json value = std::move(*found);
    object.erase(found);
    return value;
  }

  void check_nothing_left() const {
    if (levels.back().empty()) return;
    refuse("unknown key \"" + path_of(levels.back().begin().key()) + "\"");
  }

  template <class Value>
  void transfer(const char* key, Value& value) {
    if (!reading) {
      levels.back()[key] = to_value(value);
    } else if (const auto json = take(key); json && !assign(*json, value)) {
      refuse("the value of \"" + path_of(key) + "\" has the wrong type or is out of range");
    }
  }
};

Record::Record() : data_(std::make_unique<Data>()) {
  data_->levels.push_back(Json::object());
  int version = kFormatVersion;
  (*this)("format_version", version);
}

Record::Record(std::string_view json, std::string_view what) : data_(std::make_unique<Data>()) {
  data_->reading = true;
  data_->what = what;
  if (json.size() > kRecordBytesMax) data_->refuse("longer than any such file can be");
  int keys = 0;
  const auto check_size = [&](int depth, Json::parse_event_t event, Json&) {
    if (depth > kJsonDepthMax) data_->refuse("JSON nested too deeply");
    // An object that keeps its order looks at every key for each.
    if (event == Json::parse_event_t::key && ++keys > kRecordKeysMax) {
      data_->refuse("more keys than any such file can have");
    }
    return true;
  };
  try {
    data_->levels.push_back(Json::parse(json, check_size));
  } catch (const Json::exception& error) {
    data_->refuse("no valid JSON: " + describe_json_error(error));
  }
  if (!data_->levels.back().is_object()) data_->refuse("not a JSON object");

  int version = 0;
  need()("format_version", version);
  if (version > kFormatVersion) {
    data_->refuse("format_version " + std::to_string(version) + " is newer than this program (" +
                  std::to_string(kFormatVersion) + "): use a newer Sluice");
  }
  if (version < 1) data_->refuse("there is no format_version " + std::to_string(version));
}

Record::~Record() = default;

void Record::operator()(const char* key, bool& value) { data_->transfer(key, value); }
void Record::operator()(const char* key, int& value) { data_->transfer(key, value); }
void Record::operator()(const char* key, std::int64_t& value) { data_->transfer(key, value); }
void Record::operator()(const char* key, double& value) { data_->transfer(key, value); }
void Record::operator()(const char* key, std::string& value) { data_->transfer(key, value); }
void Record::operator()(const char* key, RunId& value) { data_->transfer(key, value); }
void Record::operator()(const char* key, std::vector<std::string>& value) {
  data_->transfer(key, value);
}
void Record::operator()(const char* key, std::vector<std::int32_t>& value) {
  data_->transfer(key, value);
}
void Record::operator()(const char* key, std::map<std::int32_t, double>& value) {
  data_->transfer(key, value);
}
void Record::operator()(const char* key, std::map<std::string, std::string>& value) {
  data_->transfer(key, value);
}

Record& Record::need() {
  data_->needed = true;
  return *this;
}

void Record::open(const char* key) {
  Json object = Json::object();
  if (data_->reading) {
    if (auto found = data_->take(key)) object = std::move(*found);
    if (!object.is_object()) data_->refuse("\"" + data_->path_of(key) + "\" is not an object");
  }
  data_->keys.emplace_back(key);
  data_->levels.push_back(std::move(object));
}

void Record::close() {
  if (data_->reading) data_->check_nothing_left();
  Json object = std::move(data_->levels.back());
  data_->levels.pop_back();
  if (!data_->reading) data_->levels.back()[data_->keys.back()] = std::move(object);
  data_->keys.pop_back();
}

std::string Record::text() const {
  try {
    return data_->levels.front().dump(2) + "\n";
  } catch (const Json::exception&) {
    throw Error("cannot write JSON: a value (a path or a name) is not UTF-8");
  }
}

void Record::finish() { data_->check_nothing_left(); }

}  // namespace sluice::jobs::io
