#include "jobs/io/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "jobs/io/utf8.h"

namespace sluice::jobs::io {
namespace {

constexpr std::size_t kLengthMax = 160;
constexpr std::string_view kOneLine = "parse error at line 1, ";

}  // namespace

std::string describe_json_error(const std::exception& error) {
  std::string text = error.what();
  // "[json.exception.parse_error.101] parse error at line 1, column 17: syntax error while ..."
  if (const auto tag_end = text.find("] "); tag_end != std::string::npos)
    text.erase(0, tag_end + 2);
  if (text.starts_with(kOneLine)) text.erase(0, kOneLine.size());
  // It quotes what was read last, which need not be text.
  return shortened(text, std::min(kLengthMax, first_invalid_utf8(text).value_or(text.size())));
}

bool is_json_object(std::string_view text) {
  return text.starts_with('{') && nlohmann::json::accept(text);
}

}  // namespace sluice::jobs::io
