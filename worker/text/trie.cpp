#include "worker/text/trie.h"

namespace sluice::worker::text {
namespace {

std::uint64_t edge(Trie::Node node, char byte) {
  return std::uint64_t{node} << 8 | static_cast<unsigned char>(byte);
}

}  // namespace

void Trie::add(std::string_view text, std::int32_t value) {
  Node node = kRoot;
  for (const char byte : text) {
    const auto fresh = static_cast<Node>(values_.size());
    const auto [found, created] = edges_.try_emplace(edge(node, byte), fresh);
    if (created) values_.push_back(kNoValue);
    node = found->second;
  }
  if (values_[node] == kNoValue) values_[node] = value;
}

Trie::Node Trie::next(Node node, char byte) const {
  const auto found = edges_.find(edge(node, byte));
  return found == edges_.end() ? kNoNode : found->second;
}

}  // namespace sluice::worker::text
