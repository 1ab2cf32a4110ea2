// Tokens that stand in a text as they are spelled, found before anything else is cut: at each place
// the longest. Immutable; find may be called from several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice::worker::text {

class SpecialTokens {
 public:
  // Requires: text is not empty.
  void add(std::string_view text, std::int32_t id);

  struct Match {
    std::size_t begin = 0, end = 0;
    std::int32_t id = 0;
  };
  // The first token at or after `begin`. Linear in what is passed over, times the longest token.
  std::optional<Match> find(std::string_view text, std::size_t begin) const;

 private:
  // A trie: node 0 is the root; an edge is found by (node, byte).
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;
  std::vector<std::optional<std::int32_t>> ids_ = {
      std::nullopt};  // of the token that ends at a node
  bool starts_[256] =
      {};  // bytes with which a token begins: nearly every place is ruled out by one
};

}  // namespace sluice::worker::text
