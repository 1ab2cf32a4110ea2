#include "worker/text/stop_strings.h"

#include <algorithm>
#include <utility>

namespace sluice::worker::text {

StopStrings::StopStrings(const Tokenizer& tokenizer, std::vector<std::string> strings)
    : strings_(std::move(strings)), detokenizer_(tokenizer, /*skip_special=*/true) {
  for (const std::string& string : strings_) longest_ = std::max(longest_, string.size());
}

std::optional<std::size_t> StopStrings::push(std::int32_t id) {
  tail_ += detokenizer_.push(id);
  std::size_t first = std::string::npos;
  for (const std::string& string : strings_) first = std::min(first, tail_.find(string));
  if (first != std::string::npos) return passed_ + first;
  if (tail_.size() >= longest_) {
    const std::size_t over = tail_.size() - (longest_ - 1);
    tail_.erase(0, over);
    passed_ += over;
  }
  return std::nullopt;
}

}  // namespace sluice::worker::text
