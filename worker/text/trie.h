// Texts by their prefixes: walked byte by byte, it tells which texts end at each place.
// Memory: about 48 bytes for each byte that texts do not share. Immutable once filled.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice::worker::text {

class Trie {
 public:
  using Node = std::uint32_t;
  static constexpr Node kRoot = 0;
  static constexpr Node kNoNode = 0xffffffff;
  static constexpr std::int32_t kNoValue = -1;

  // Of equal texts the first counts. Requires: value >= 0.
  void add(std::string_view text, std::int32_t value);

  Node next(Node node, char byte) const;                         // kNoNode: no text goes on so
  std::int32_t value(Node node) const { return values_[node]; }  // of the text that ends here

 private:
  std::unordered_map<std::uint64_t, Node> edges_;  // by (node, byte)
  std::vector<std::int32_t> values_ = {kNoValue};
};

}  // namespace sluice::worker::text
