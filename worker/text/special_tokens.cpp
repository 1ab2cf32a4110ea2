#include "worker/text/special_tokens.h"

namespace sluice::worker::text {
namespace {

std::uint64_t edge(std::uint32_t node, unsigned char byte) {
  return std::uint64_t{node} << 8 | byte;
}

}  // namespace

void SpecialTokens::add(std::string_view text, std::int32_t id) {
  std::uint32_t node = 0;
  for (const char c : text) {
    const auto next = static_cast<std::uint32_t>(ids_.size());
    const auto [found, created] = edges_.try_emplace(edge(node, c), next);
    if (created) ids_.push_back(std::nullopt);
    node = found->second;
  }
  if (!ids_[node]) ids_[node] = id;
  starts_[static_cast<unsigned char>(text.front())] = true;
}

std::optional<SpecialTokens::Match> SpecialTokens::find(std::string_view text,
                                                        std::size_t begin) const {
  for (; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    std::optional<Match> longest;
    std::uint32_t node = 0;
    for (std::size_t end = begin; end < text.size();) {
      const auto found = edges_.find(edge(node, text[end]));
      if (found == edges_.end()) break;
      node = found->second;
      ++end;
      if (ids_[node]) longest = Match{begin, end, *ids_[node]};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

}  // namespace sluice::worker::text
