// Oracle: prompts are numbered, and the source counts what it was asked for.
#include "worker/ready_sequences.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <numeric>
#include <set>
#include <vector>

#include "tests/worker/job_directory.h"
#include "worker/error.h"
#include "worker/model/model.h"

namespace sluice::worker {
namespace {

constexpr std::size_t kReady = 5;

struct ReadySequencesTest : testing::Test {
  model::Model model = model::Model::open(std::filesystem::path(SLUICE_TEST_DATA) /
                                          "tiny/smollm-tied-f16/model.gguf");

  IntakeSetup setup() const {
    return {.model = model, .rules = {.max_positions = 512}, .ready_max = kReady};
  }
};

// As many prompts as `count`, every tenth of which no sequence can be made of.
struct Numbered {
  std::atomic<int> count = 0, given = 0;

  std::optional<jobs::Prompt> next() {
    if (given >= count) return std::nullopt;
    jobs::Prompt prompt;
    prompt.index = given++;
    prompt.token_ids = std::vector<std::int32_t>{prompt.index % 10 == 9 ? -1 : 5};
    prompt.max_tokens = 1 + static_cast<int>(prompt.index % 7);
    return prompt;
  }
};

// All that come until the end, which is waited for.
std::multiset<std::int64_t> drain(ReadySequences& ready, std::size_t* refused = nullptr) {
  std::multiset<std::int64_t> indices;
  EXPECT_TRUE(eventually([&] {
    while (const auto taken = ready.take()) {
      if (const auto* error = std::get_if<RefusedPrompt>(&*taken)) {
        if (refused) ++*refused;
        EXPECT_EQ(error->error.code, "bad_token_id");
        indices.insert(error->index);
      } else {
        indices.insert(std::get<batch::Sequence>(*taken).index);
      }
    }
    return ready.ended();
  }));
  return indices;
}

std::multiset<std::int64_t> numbers(int count) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return {all.begin(), all.end()};
}

TEST_F(ReadySequencesTest, EveryPromptComesOnceAsASequenceOrAnError) {
  Numbered source{.count = 500};
  ReadySequences ready(setup(), {.next = [&] { return source.next(); }});
  std::size_t refused = 0;
  EXPECT_EQ(drain(ready, &refused), numbers(500));
  EXPECT_EQ(refused, 50U);
}

TEST_F(ReadySequencesTest, NoMoreAreMadeThanAskedForAndNoMoreRead) {
  Numbered source{.count = 500};
  IntakeSetup small = setup();
  small.window.prompts = 7;
  ReadySequences ready(small, {.next = [&] { return source.next(); }});
  ASSERT_TRUE(eventually([&] { return ready.size() == kReady; }));
  EXPECT_FALSE(ready.at_work());
  EXPECT_LE(source.given, static_cast<int>(kReady) + 7);
  EXPECT_EQ(drain(ready), numbers(500));
}

TEST_F(ReadySequencesTest, LongestOfTheWindowIsTheFirst) {
  Numbered source{.count = 7};
  ReadySequences ready(setup(), {.next = [&] { return source.next(); }});
  ASSERT_TRUE(eventually([&] { return ready.size() == kReady; }));
  for (const int expected : {6, 5, 4, 3, 2}) {
    EXPECT_EQ(std::get<batch::Sequence>(ready.take().value()).index, expected);
  }
}

TEST_F(ReadySequencesTest, PromptsThatComeLaterAreWaitedFor) {
  Numbered source{.count = 3};
  std::atomic<bool> last = false;
  ReadySequences ready(
      setup(), {.next = [&] { return source.next(); },
                .wait =
                    [&](const std::stop_token& stop) {
                      while (!stop.stop_requested() && !last && source.given >= source.count) {
                      }
                      return source.given < source.count;
                    }});
  ASSERT_TRUE(eventually([&] { return ready.size() == 3 && !ready.at_work(); }));
  EXPECT_FALSE(ready.ended());
  source.count = 60;
  ASSERT_TRUE(eventually([&] { return ready.size() == kReady; }));
  last = true;
  EXPECT_EQ(drain(ready), numbers(60));
}

TEST_F(ReadySequencesTest, WhatFailsThereIsThrownHere) {
  ReadySequences ready(
      setup(), {.next = []() -> std::optional<jobs::Prompt> { throw Error("the disk is gone"); }});
  ASSERT_TRUE(eventually([&] { return !ready.at_work(); }));
  EXPECT_THROW(ready.take(), Error);
  EXPECT_THROW(ready.ended(), Error);
}

TEST_F(ReadySequencesTest, EndsWhileItWaitsForPromptsOrForRoom) {
  Numbered source{.count = 1};
  const auto forever = [](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
    }
    return false;
  };
  for (const int count : {1, 500}) {
    source.count = count;
    ReadySequences ready(setup(), {.next = [&] { return source.next(); }, .wait = forever});
    ASSERT_TRUE(eventually([&] { return ready.size() > 0 && !ready.at_work(); }));
  }
}

}  // namespace
}  // namespace sluice::worker
