#include "worker/model/json_facts.h"

#include <cmath>
#include <span>
#include <utility>

#include "worker/error.h"
#include "worker/model/printable.h"
#include "worker/model/read_only_file.h"

namespace sluice::worker::model {
namespace {

constexpr int kDepthMax = 32;

}  // namespace

std::string read_small_file(const std::filesystem::path& path, std::uint64_t bytes_max) {
  const ReadOnlyFile file(path);
  if (file.bytes() > bytes_max) {
    throw Error(path.string() + ": has " + std::to_string(file.bytes()) +
                " bytes, more than any such file (at most " + std::to_string(bytes_max) + ")");
  }
  std::string text(file.bytes(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

JsonFacts::JsonFacts(std::string what, nlohmann::json json)
    : what_(std::move(what)), json_(std::move(json)) {}

JsonFacts JsonFacts::parse(std::string what, std::string_view text) {
  JsonFacts facts(std::move(what), nlohmann::json());
  using Event = nlohmann::json::parse_event_t;
  const auto check_depth = [&](int depth, Event, nlohmann::json&) {
    if (depth > kDepthMax) facts.fail("JSON nested too deeply");
    return true;
  };
  try {
    facts.json_ = nlohmann::json::parse(text, check_depth);
  } catch (const nlohmann::json::exception& error) {
    facts.fail(std::string("is no valid JSON: ") + printable(error.what()));
  }
  if (!facts.json_.is_object()) facts.fail("is no JSON object");
  return facts;
}

const nlohmann::json* JsonFacts::find(std::string_view key) const {
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

void JsonFacts::fail(const std::string& problem) const { throw Error(what_ + ": " + problem); }

void JsonFacts::refuse(std::string_view key, std::string_view kind) const {
  fail(printable(key) + " is not " + std::string(kind));
}

std::optional<std::int64_t> JsonFacts::integer(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (!value) return std::nullopt;
  const bool fits =
      value->is_number_integer() &&
      (!value->is_number_unsigned() || std::in_range<std::int64_t>(value->get<std::uint64_t>()));
  if (!fits) refuse(key, "an integer of 64 bits");
  return value->get<std::int64_t>();
}

std::optional<double> JsonFacts::number(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) refuse(key, "a number");
  return value->get<double>();
}

std::optional<bool> JsonFacts::boolean(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_boolean()) refuse(key, "true or false");
  return value->get<bool>();
}

std::optional<std::string> JsonFacts::string(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_string()) refuse(key, "a string");
  return value->get<std::string>();
}

std::optional<std::vector<std::string>> JsonFacts::strings(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_array()) refuse(key, "an array of strings");
  std::vector<std::string> strings;
  for (const nlohmann::json& element : *value) {
    if (!element.is_string()) refuse(key, "an array of strings");
    strings.push_back(element.get<std::string>());
  }
  return strings;
}

std::optional<JsonFacts> JsonFacts::object(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_object()) refuse(key, "an object");
  return JsonFacts(what_ + ": " + printable(key), *value);
}

}  // namespace sluice::worker::model
