// Oracle: sorting, and sums of the sizes of what went in.
#include "worker/batch/prompt_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "worker/batch/batcher.h"

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

TEST(PromptWindow, LongestAnswerComesFirstAndNearlyEqualOnesInTheirOrder) {
  PromptWindow window(100);
  window.add(prompt(0, 7));
  window.add(prompt(1, std::nullopt));  // 100
  window.add(prompt(2, 300));
  window.add(prompt(3, 100));
  window.add(prompt(4, 7));
  window.add(prompt(5, 102));  // as good as 100
  EXPECT_THAT(drain(window), ElementsAre(2, 1, 3, 5, 0, 4));
}

TEST(PromptWindow, LongPromptCountsWhetherItIsTextOrIds) {
  PromptWindow window(100);
  window.add(prompt(0, 100, 400));
  window.add(prompt(1, 100, 16000));  // some 4,000 tokens
  window.add(prompt(2, 100));
  auto ids = prompt(3, 100);
  ids.token_ids = std::vector<std::int32_t>(8000, 5);
  window.add(ids);
  EXPECT_THAT(drain(window), ElementsAre(3, 1, 0, 2));
}

TEST(PromptWindow, ChatsCountWithAllTheirParts) {
  PromptWindow window(100);
  const std::size_t none = (window.add(prompt(0, 100, 0)), window.bytes());
  auto chat = prompt(1, 100, 0);
  chat.chat = jobs::Chat{.messages = std::string(16000, ' '), .tools = "[]", .variables = "{}"};
  window.add(chat);
  EXPECT_EQ(window.bytes(), 2 * none + 16004);
  EXPECT_THAT(drain(window), ElementsAre(1, 0));
  EXPECT_EQ(window.bytes(), 0U);
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
TEST(PromptWindow, EveryPromptComesOnceAndNoneThatAnotherInTheWindowOutlastsByFar) {
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
      ASSERT_GE(*taken->max_tokens, 0.8 * *held.rbegin());
      held.erase(held.find(*taken->max_tokens));
      order.push_back(taken->index);
    }
    std::ranges::sort(order);
    ASSERT_EQ(order.size(), static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
  }
}

// Micro-batches until all are answered by a lone stage.
int steps_for(const std::vector<jobs::Prompt>& in_order) {
  Batcher batcher({.batch_size = 8, .token_budget = 64, .stages = 1},
                  model::PagePool({.full = 20}));
  auto next = in_order.begin();
  int steps = 0;
  for (;; ++steps) {
    for (; next != in_order.end() && batcher.wants_sequences(); ++next) {
      Sequence sequence;
      sequence.tokens = {5};
      sequence.prompt_tokens = 1;
      sequence.max_tokens = *next->max_tokens;
      batcher.add(sequence);
    }
    const auto micro_batch = batcher.next(0);
    if (!micro_batch) return steps;
    const std::vector<sampling::Drawn> tokens(
        static_cast<std::size_t>(micro_batch->plan.tokens_wanted()), {.id = 7});
    batcher.deliver(micro_batch->plan.step, tokens, 0);
  }
}

TEST(PromptWindow, LongAnswersAtTheEndOfTheFileDoNotEndAlone) {
  std::vector<jobs::Prompt> file, windowed;
  for (int i = 0; i < 40; ++i) file.push_back(prompt(i, 20));
  for (int i = 40; i < 42; ++i) file.push_back(prompt(i, 200));
  PromptWindow window(100);
  for (const jobs::Prompt& p : file) window.add(p);
  while (auto p = window.take()) windowed.push_back(*p);
  constexpr int kFullSteps = (40 * 20 + 2 * 200) / 8;
  constexpr int kLongest = 200;
  EXPECT_GT(steps_for(file), 1.4 * std::max(kFullSteps, kLongest));
  EXPECT_LT(steps_for(windowed), 1.1 * std::max(kFullSteps, kLongest));
}

}  // namespace
}  // namespace sluice::worker::batch
