#include "jobs/io/json_object.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "jobs/error.h"
#include "jobs/io/json.h"
#include "jobs/io/utf8.h"
#include "jobs/limits.h"

namespace sluice::jobs::io {
namespace {

using Json = nlohmann::json;
using Members = std::map<std::string, std::string_view, std::less<>>;

constexpr std::size_t kQuotedBytesMax = 60;

std::string in_quotes(std::string_view text) {
  return "\"" + shortened(text, kQuotedBytesMax) + "\"";
}

// Looks at every part of a text in turn, and keeps the keys of the outermost object.
class Checker : public nlohmann::json_sax<Json> {
 public:
  bool is_object = false;
  Members members;
  std::vector<Members::iterator> in_order;

  bool null() override { return inside(); }
  bool boolean(bool) override { return inside(); }
  bool number_integer(std::int64_t) override { return inside(); }
  bool number_unsigned(std::uint64_t) override { return inside(); }
  bool number_float(double, const std::string&) override { return inside(); }
  bool binary(Json::binary_t&) override { return inside(); }
  bool string(std::string& text) override { return inside() && without_nul(text); }
  bool key(std::string& key) override {
    if (depth_ == 1) {
      const auto [place, is_new] = members.try_emplace(key);
      if (!is_new) throw Error("the key " + in_quotes(key) + " stands twice");
      in_order.push_back(place);
    }
    return inside() && without_nul(key);
  }
  bool start_object(std::size_t) override {
    is_object = is_object || depth_ == 0;
    return open();
  }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& error) override {
    throw Error("no valid JSON: " + describe_json_error(error));
  }

 private:
  bool inside() const {
    if (depth_ <= kPromptDepthMax) return true;
    throw Error("JSON nested too deeply (more than " + std::to_string(kPromptDepthMax) + ")");
  }
  bool open() {
    inside();
    ++depth_;
    return true;
  }
  bool close() {
    --depth_;
    return true;
  }
  bool without_nul(const std::string& text) const {
    if (text.find('\0') == std::string::npos) return true;
    const std::string key = in_order.empty() ? "" : in_order.back()->first;
    throw Error(in_quotes(key.c_str()) + " holds a NUL character");  // which no message does
  }

  int depth_ = 0;
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(blank), text.size()));
  return text.substr(0, text.find_last_not_of(blank) + 1);
}

// Calls `each` with the text of each value of the outermost object. Requires: valid JSON.
template <class Each>
void for_each_value(std::string_view text, Each each) {
  int depth = 0;
  std::size_t begin = 0;
  const auto end_of_value = [&](std::size_t at) {
    if (begin > 0) each(trimmed(text.substr(begin, at - begin)));
    begin = 0;
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    switch (text[at]) {
      case '"':
        while (text[++at] != '"') at += text[at] == '\\' ? 1 : 0;
        break;
      case '{':
      case '[':
        ++depth;
        break;
      case ':':
        if (depth == 1) begin = at + 1;
        break;
      case ',':
        if (depth == 1) end_of_value(at);
        break;
      case '}':
      case ']':
        if (--depth == 0) end_of_value(at);
        break;
    }
  }
}

}  // namespace

JsonObject::JsonObject(std::string_view text) {
  if (const auto at = first_invalid_utf8(text)) {
    throw Error("not UTF-8 at byte " + std::to_string(*at) + " of the line");
  }
  if (const auto at = text.find('\0'); at != std::string_view::npos) {
    throw Error("a NUL byte at byte " + std::to_string(at) + " of the line");
  }
  Checker checker;
  Json::sax_parse(text, &checker);
  is_object_ = checker.is_object;
  members_ = std::move(checker.members);
  if (!is_object_) return;
  auto member = checker.in_order.begin();
  for_each_value(text, [&](std::string_view value) { (*member++)->second = value; });
}

bool JsonObject::has(std::string_view key) const {
  const auto found = members_.find(key);
  return found != members_.end() && found->second != "null";
}

}  // namespace sluice::jobs::io
