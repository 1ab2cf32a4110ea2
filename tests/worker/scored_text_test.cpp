// Oracle: what lm-evaluation-harness says of its own windows (tests/test_utils.py,
// test_get_rolling_token_windows), and their properties.
#include "worker/batch/scored_text.h"

#include <gtest/gtest.h>

#include <numeric>

namespace sluice::worker::batch {
namespace {

using Tokens = std::vector<std::int32_t>;
using Windows = std::vector<std::pair<Tokens, Tokens>>;  // what is seen, what is scored

std::vector<std::int32_t> counted(std::int32_t from, std::int32_t to) {
  Tokens tokens(static_cast<std::size_t>(to - from + 1));
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

sampling::Drawn drawn(double logprob, bool likeliest = true) {
  return {.id = 1, .logprob = logprob, .is_likeliest = likeliest};
}

Windows windows_of(const Tokens& tokens, int first, const ScoreWindows& windows) {
  ScoredText text(tokens, first, windows, sampling::kNoLogProbs);
  Windows all;
  while (!text.ended()) {
    auto& [seen, scored] = all.emplace_back();
    seen.assign(text.inputs().begin(), text.inputs().end());
    for (int position = 0; position < static_cast<int>(seen.size()); ++position) {
      if (text.wants(position)) scored.push_back(text.draw(position).given);
    }
    const std::size_t count = scored.size();
    for (std::size_t i = 0; i < count; ++i) {
      const bool another = text.accept(drawn(-1));
      EXPECT_EQ(another, i + 1 == count && !text.ended());
    }
  }
  return all;
}

TEST(ScoredText, WindowsAreThoseOfTheEvaluationHarness) {
  Tokens tokens = counted(0, 33);
  tokens.insert(tokens.begin(), -100);
  Tokens first = counted(0, 8);
  first.insert(first.begin(), -100);
  EXPECT_EQ(windows_of(tokens, 1, {.positions = 10, .overlap = 1}),
            (Windows{{first, counted(0, 9)},
                     {counted(9, 18), counted(10, 19)},
                     {counted(19, 28), counted(20, 29)},
                     {counted(23, 32), counted(30, 33)}}));
  EXPECT_EQ(windows_of(tokens, 1, {.positions = 10, .overlap = 5}),
            (Windows{{first, counted(0, 9)},
                     {counted(5, 14), counted(10, 15)},
                     {counted(11, 20), counted(16, 21)},
                     {counted(17, 26), counted(22, 27)},
                     {counted(23, 32), counted(28, 33)}}));
}

TEST(ScoredText, EachTokenAfterTheContextIsScoredOnceWithAtLeastTheOverlapBeforeIt) {
  for (int count = 2; count < 40; ++count) {
    for (int first = 0; first < count; ++first) {
      for (int positions = 2; positions < 12; ++positions) {
        for (int overlap = 1; overlap < positions; ++overlap) {
          Tokens scored;
          for (const auto& [seen, each] :
               windows_of(counted(0, count - 1), first, {positions, overlap})) {
            ASSERT_LE(static_cast<int>(seen.size()), positions);
            ASSERT_EQ(seen.back() + 1, each.back());
            ASSERT_GE(each.front() - seen.front(), std::min(overlap, each.front()));
            scored.insert(scored.end(), each.begin(), each.end());
          }
          ASSERT_EQ(scored, counted(std::max(first, 1), count - 1));
        }
      }
    }
  }
}

TEST(ScoredText, SumsWhatItWasTold) {
  ScoredText text({5, 6, 7, 8}, 2, {.positions = 10}, 0);
  EXPECT_FALSE(text.accept(drawn(-0.5)));
  EXPECT_FALSE(text.ended());
  EXPECT_FALSE(text.accept(drawn(-2, /*likeliest=*/false)));
  EXPECT_TRUE(text.ended());
  EXPECT_EQ(text.score(), (jobs::Score{.logprob_sum = -2.5, .tokens = 2, .is_greedy = false}));
  EXPECT_EQ(text.drawn().size(), 2U);
  EXPECT_EQ(text.tokens(), 4);
}

TEST(ScoredText, OfASingleTokenThereIsNothingToSay) {
  EXPECT_TRUE(ScoredText({5}, 1, {.positions = 10}, 0).ended());
  EXPECT_TRUE(ScoredText({5, 6}, 2, {.positions = 10}, 0).ended());
}

}  // namespace
}  // namespace sluice::worker::batch
