// A JSON object of a Hugging Face folder, read with suspicion: each value as asked, with errors
// that name the file and the key. A value that is null is absent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::worker::model {

// A small file as a whole. Throws worker::Error when it is missing or larger than `bytes_max`.
std::string read_small_file(const std::filesystem::path& path, std::uint64_t bytes_max);

class JsonFacts {
 public:
  // `what`: for errors, a path. Throws worker::Error: no JSON object, nested too deeply.
  static JsonFacts parse(std::string what, std::string_view text);

  const std::string& what() const { return what_; }
  const nlohmann::json& json() const { return json_; }

  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  // finite
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  std::optional<std::vector<std::string>> strings(std::string_view key) const;
  std::optional<JsonFacts> object(std::string_view key) const;

  [[noreturn]] void fail(const std::string& problem) const;

 private:
  JsonFacts(std::string what, nlohmann::json json);
  const nlohmann::json* find(std::string_view key) const;
  [[noreturn]] void refuse(std::string_view key, std::string_view kind) const;

  std::string what_;
  nlohmann::json json_;
};

}  // namespace sluice::worker::model
