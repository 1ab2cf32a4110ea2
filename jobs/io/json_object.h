// An object of foreign JSON as it was written: its keys, and the text of each value, with the
// numbers and the order that it had. Keeps views of the text, which must live as long.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace sluice::jobs::io {

class JsonObject {
 public:
  // Throws jobs::Error: not UTF-8, no JSON, deeper than kPromptDepthMax, one of its own keys twice
  // (JSON would let the last one win in silence), a NUL in any text.
  explicit JsonObject(std::string_view text);

  bool is_object() const { return is_object_; }  // false: other JSON, which has no members
  bool has(std::string_view key) const;          // and it is not null
  // Requires: has(key).
  std::string_view as_written(std::string_view key) const { return members_.find(key)->second; }

  const std::map<std::string, std::string_view, std::less<>>& members() const { return members_; }

 private:
  bool is_object_ = false;
  std::map<std::string, std::string_view, std::less<>> members_;
};

}  // namespace sluice::jobs::io
