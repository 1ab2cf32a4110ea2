// Oracle: the definition, run literally: while any neighbours are in the table, join the pair of
// lowest rank, the leftmost where several are equal.
#include "worker/text/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace sluice::worker::text {
namespace {

using Ids = std::vector<std::int32_t>;

Ids merge_literally(const std::vector<MergeTable::Merge>& merges, Ids word) {
  std::map<std::pair<int, int>, std::size_t> rank;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    rank.try_emplace({merges[i].left, merges[i].right}, i);
  }
  for (;;) {
    std::size_t best = merges.size(), at = 0;
    for (std::size_t i = 0; i + 1 < word.size(); ++i) {
      const auto found = rank.find({word[i], word[i + 1]});
      if (found != rank.end() && found->second < best) best = found->second, at = i;
    }
    if (best == merges.size()) return word;
    word[at] = merges[best].joined;
    word.erase(word.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(Bpe, JoinsAsDefined) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    const int letters = 1 + static_cast<int>(random() % 4);
    int tokens = letters;
    std::vector<MergeTable::Merge> merges;
    for (int i = 0; i < 12; ++i) {
      const auto any = [&] { return static_cast<std::int32_t>(random() % tokens); };
      merges.push_back({any(), any(), tokens});
      ++tokens;
    }
    // Ranks need not follow the order in which tokens can be built.
    if (round % 2) std::ranges::shuffle(merges, random);
    const MergeTable table(merges);
    for (int i = 0; i < 40; ++i) {
      Ids word(random() % 40);
      for (auto& id : word) id = static_cast<std::int32_t>(random() % letters);
      Ids joined = word;
      merge(table, joined);
      ASSERT_EQ(joined, merge_literally(merges, word)) << "seed 5, round " << round;
    }
  }
}

TEST(JoinNeighbours, AsksOnlyThreeTimesASymbol) {
  for (const std::size_t size : {2, 1000, 100'000}) {
    std::vector<Symbol> symbols(size);
    for (std::uint32_t i = 0; i < size; ++i) symbols[i] = {0, i, i + 1};
    std::size_t asked = 0;
    join_neighbours(symbols, [&](const Symbol&, const Symbol&) {
      ++asked;
      return std::optional(Joined{0, 0});
    });
    EXPECT_EQ(symbols.size(), 1u);
    EXPECT_LE(asked, 3 * size);
  }
}

}  // namespace
}  // namespace sluice::worker::text
