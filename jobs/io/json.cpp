#include "jobs/io/json.h"

#include <string_view>

namespace sluice::jobs::io {

std::string describe_json_error(const std::exception& error) {
  constexpr std::size_t kLengthMax = 160;
  std::string text = error.what();
  // "[json.exception.parse_error.101] parse error at line 1, column 17: syntax error while ..."
  if (const auto tag_end = text.find("] "); tag_end != std::string::npos)
    text.erase(0, tag_end + 2);
  constexpr std::string_view kOneLine = "parse error at line 1, ";
  if (text.starts_with(kOneLine)) text.erase(0, kOneLine.size());
  if (text.size() > kLengthMax) {
    text.resize(kLengthMax);
    while (!text.empty() && (text.back() & 0xc0) == 0x80) text.pop_back();  // no half character
    text += "...";
  }
  return text;
}

}  // namespace sluice::jobs::io
