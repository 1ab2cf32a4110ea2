// Byte-pair encoding by rank (Sennrich, Haddow and Birch 2016): of all neighbours that the table of
// merges knows, the pair of lowest rank is joined, leftmost first, until none is left.
// Immutable; merge may be called from several threads.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace sluice::worker::text {

class Bpe {
 public:
  struct Merge {
    std::int32_t left = 0, right = 0, joined = 0;  // ids
  };
  // Ranks are the merges' order; where a pair stands twice, the first counts.
  explicit Bpe(std::span<const Merge> merges);

  // Joins `word` in place. Time n log n. Requires: fewer than 2^31 ids.
  void merge(std::vector<std::int32_t>& word) const;

 private:
  struct Ranked {
    std::uint32_t rank = 0;
    std::int32_t joined = 0;
  };
  std::unordered_map<std::uint64_t, Ranked> merges_;  // by pair of ids
};

}  // namespace sluice::worker::text
