// Oracle: sorting, and sums of the sizes of what went in.
#include "worker/batch/prompt_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace sluice::worker::batch {
namespace {

using testing::ElementsAre;

jobs::Prompt prompt(std::int64_t index, std::optional<int> max_tokens, std::size_t bytes = 4) {
  jobs::Prompt p;
  p.index = index;
  p.max_tokens = max_tokens;
  p.text.assign(bytes, 'x');
  return p;
}

std::vector<std::int64_t> drain(PromptWindow& window) {
  std::vector<std::int64_t> order;
  while (const auto p = window.take()) order.push_back(p->index);
  return order;
}

TEST(PromptWindow, LongestAnswerComesFirstAndEqualsInTheirOrder) {
  PromptWindow window(100);
  window.add(prompt(0, 7));
  window.add(prompt(1, std::nullopt));  // 100
  window.add(prompt(2, 300));
  window.add(prompt(3, 100));
  window.add(prompt(4, 7));
  EXPECT_THAT(drain(window), ElementsAre(2, 1, 3, 0, 4));
}

TEST(PromptWindow, LongPromptCountsWhetherItIsTextOrIds) {
  PromptWindow window(100);
  window.add(prompt(0, 100, 40));
  window.add(prompt(1, 100, 4000));  // a thousand tokens
  window.add(prompt(2, 100));
  auto ids = prompt(3, 100);
  ids.token_ids = std::vector<std::int32_t>(2000, 5);
  window.add(ids);
  EXPECT_THAT(drain(window), ElementsAre(3, 1, 0, 2));
}

TEST(PromptWindow, HoldsNoMoreThanItsLimits) {
  PromptWindow few(100, {.prompts = 3});
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(few.has_room());
    few.add(prompt(i, 5));
  }
  EXPECT_FALSE(few.has_room());
  few.take();
  EXPECT_TRUE(few.has_room());

  PromptWindow small(100, {.prompts = 4096, .bytes = 100'000});
  int held = 0;
  for (; small.has_room(); ++held) small.add(prompt(held, 5, 30'000));
  EXPECT_EQ(held, 4) << "full when it holds its bytes";
  EXPECT_GE(small.bytes(), 100'000U);
  EXPECT_LT(small.bytes(), 131'000U);
  drain(small);
  EXPECT_EQ(small.bytes(), 0U);
}

// As the leader uses it: filled up whenever there is room.
TEST(PromptWindow, EveryPromptComesOnceAndNoneThatAnyInTheWindowOutlasts) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto one_of = [&](int low, int high) {
      return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
    };
    const int count = one_of(0, 300), limit = one_of(1, 50);
    std::vector<int> lengths(static_cast<std::size_t>(count));
    for (int& length : lengths) length = one_of(1, 500);
    PromptWindow window(100, {.prompts = static_cast<std::size_t>(limit)});
    std::multiset<int> held;
    std::vector<std::int64_t> order;
    for (int next = 0;;) {
      for (; next < count && window.has_room(); ++next) {
        window.add(prompt(next, lengths[static_cast<std::size_t>(next)]));
        held.insert(lengths[static_cast<std::size_t>(next)]);
      }
      ASSERT_LE(held.size(), static_cast<std::size_t>(limit));
      const auto taken = window.take();
      if (!taken) break;
      ASSERT_EQ(*taken->max_tokens, *held.rbegin());
      held.erase(std::prev(held.end()));
      order.push_back(taken->index);
    }
    std::ranges::sort(order);
    ASSERT_EQ(order.size(), static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
  }
}

}  // namespace
}  // namespace sluice::worker::batch
