#include "jobs/set_aside.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "jobs/error.h"
#include "jobs/files.h"

namespace sluice::jobs {

SetAside::SetAside(const std::filesystem::path& path) : path_(path) {
  if (!std::filesystem::exists(path)) return;
  const std::string text = read_file(path);
  for (const char *at = text.data(), *end = at + text.size(); at != end;) {
    int attempt = 0;
    const auto parsed = std::from_chars(at, end, attempt);
    if (parsed.ec != std::errc() || attempt < 1 || parsed.ptr == end || *parsed.ptr != '\n') {
      throw Error(path.string() + " holds something that is no attempt; each line is one");
    }
    attempts_.push_back(attempt);
    at = parsed.ptr + 1;
  }
}

int SetAside::errors_before(int newest) const {
  int before = 0;
  for (const int attempt : attempts_) {
    if (attempt <= newest) before = std::max(before, attempt);
  }
  return before;
}

void SetAside::add(int attempt) {
  if (std::ranges::count(attempts_, attempt) > 0) return;
  attempts_.push_back(attempt);
  std::string text;
  for (const int each : attempts_) text += std::to_string(each) + "\n";
  write_file_whole(path_, text);
}

}  // namespace sluice::jobs
