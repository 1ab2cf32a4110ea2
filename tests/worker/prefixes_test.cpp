// Oracle: pages as they are in a stage, each position holding which tokens it was computed from. A
// row that is computed must find there, at every position that it sees, its own sequence's tokens.
#include "worker/batch/prefixes.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <numeric>
#include <random>
#include <string>

#include "worker/batch/batcher.h"

namespace sluice::worker::batch {
namespace {

constexpr int kPage = kernels::kKvPageTokens;

Sequence sequence_of(std::int64_t index, std::vector<std::int32_t> tokens, int max_tokens) {
  Sequence s;
  s.index = index;
  s.id = std::to_string(index);
  s.prompt_tokens = static_cast<int>(tokens.size());
  s.tokens = std::move(tokens);
  s.max_tokens = max_tokens;
  return s;
}

std::vector<std::int32_t> counted(std::int32_t from, int count) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

std::vector<std::int32_t> joined(std::vector<std::int32_t> a, const std::vector<std::int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// What a position was computed from: all tokens up to it.
using Content = std::vector<std::int32_t>;

class FakeStage {
 public:
  explicit FakeStage(int window) : window_(window) {}

  void run(const MicroBatch& micro_batch) {
    for (const Admission& admission : micro_batch.plan.admissions) {
      tables_[admission.slot] = admission.pages;
      tokens_[admission.slot].clear();
      begun_[admission.slot] = false;
    }
    for (const PageCopies& copies : micro_batch.plan.copies) {
      copy(copies.full_from, copies.full_to, full_);
      copy(copies.ring_from, copies.ring_to, ring_);
    }
    auto next = micro_batch.tokens.begin();
    for (const Segment& segment : micro_batch.plan.segments) {
      const SequenceState state = enter(segment);
      for (int position = segment.first_position;
           position < segment.first_position + segment.tokens; ++position) {
        state.tokens.push_back(*next++);
        write(state, position);
      }
      for (int position = segment.first_position;
           position < segment.first_position + segment.tokens; ++position) {
        expect_seen(state, position);
      }
    }
  }

  int computed() const { return computed_; }

 private:
  using Pages = std::map<std::pair<std::int32_t, int>, Content>;  // by page and place in it
  struct SequenceState {
    const model::SequencePages& pages;
    Content& tokens;
  };

  static void copy(const std::vector<std::int32_t>& from, const std::vector<std::int32_t>& to,
                   Pages& pages) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      for (int place = 0; place < kPage; ++place) {
        pages[{to[i], place}] = pages[{from[i], place}];
      }
    }
  }

  // What was shared of it is what lies there: the tokens of the last position before it.
  SequenceState enter(const Segment& segment) {
    const model::SequencePages& pages = tables_.at(segment.slot);
    Content& tokens = tokens_[segment.slot];
    if (!begun_[segment.slot] && segment.first_position > 0) {
      tokens = at(full_, pages.full, segment.first_position - 1);
    }
    begun_[segment.slot] = true;
    EXPECT_EQ(static_cast<int>(tokens.size()), segment.first_position);
    computed_ += segment.tokens;
    return {.pages = pages, .tokens = tokens};
  }

  static Content& at(Pages& store, const std::vector<std::int32_t>& table, int position) {
    const auto page = static_cast<std::size_t>(position / kPage) % table.size();
    return store[{table[page], position % kPage}];
  }

  void write(const SequenceState& state, int position) {
    at(full_, state.pages.full, position) = state.tokens;
    if (window_ > 0) at(ring_, state.pages.ring, position) = state.tokens;
  }

  void expect_seen(const SequenceState& state, int position) {
    for (int seen = 0; seen <= position; ++seen) {
      const Content own(state.tokens.begin(), state.tokens.begin() + seen + 1);
      ASSERT_EQ(at(full_, state.pages.full, seen), own) << "position " << seen;
      if (window_ > 0 && seen > position - window_) {
        ASSERT_EQ(at(ring_, state.pages.ring, seen), own) << "position " << seen << " of a window";
      }
    }
  }

  int window_;
  int computed_ = 0;
  Pages full_, ring_;
  std::map<int, model::SequencePages> tables_;
  std::map<int, Content> tokens_;
  std::map<int, bool> begun_;
};

struct Outcome {
  int computed = 0, shared = 0, finished = 0;
};

struct Setup {
  int window = 0, pages = 400, batch_size = 4, token_budget = 40, stages = 1;
  unsigned seed = 1;
};

Outcome run(const std::vector<Sequence>& input, const Setup& setup) {
  model::ModelConfig config;
  config.layers = 2;
  config.window = setup.window;
  config.is_windowed = {setup.window > 0, false};
  const auto layout = kv_layout(config, setup.token_budget);
  Batcher batcher({.batch_size = setup.batch_size,
                   .token_budget = setup.token_budget,
                   .stages = setup.stages,
                   .prefix_sharing = true},
                  model::PagePool({.full = setup.pages, .ring = setup.pages}, layout));
  std::mt19937 random(setup.seed);
  FakeStage stage(setup.window);
  std::deque<BatchPlan> under_way;
  Outcome outcome;
  std::size_t added = 0;
  for (int round = 0; round < 100000; ++round) {
    while (added < input.size() && batcher.wants_sequences()) batcher.add(input[added++]);
    auto micro_batch = random() % 3 == 0 && !under_way.empty() ? std::nullopt : batcher.next(0);
    if (micro_batch) {
      stage.run(*micro_batch);
      under_way.push_back(micro_batch->plan);
    } else if (!under_way.empty()) {
      const BatchPlan plan = under_way.front();
      under_way.pop_front();
      const std::vector<sampling::Drawn> tokens(static_cast<std::size_t>(plan.tokens_wanted()),
                                                {.id = 7, .logprob = -1});
      for (const Finished& finished : batcher.deliver(plan.step, tokens, 0)) {
        ++outcome.finished;
        outcome.shared += finished.sequence.shared;
      }
    } else {
      break;
    }
  }
  EXPECT_TRUE(batcher.idle());
  outcome.computed = stage.computed();
  return outcome;
}

TEST(Prefixes, WhatAllShareIsComputedOnce) {
  std::vector<Sequence> input;
  for (int i = 0; i < 30; ++i) {
    input.push_back(sequence_of(i, joined(counted(1000, 400), counted(i * 50, 10)), 5));
  }
  const Outcome outcome = run(input, {});
  EXPECT_EQ(outcome.finished, 30);
  EXPECT_EQ(outcome.shared, 29 * 400);
  EXPECT_EQ(outcome.computed, 400 + 30 * (10 + 4));
}

TEST(Prefixes, TheLastTokenOfAPromptIsAlwaysComputed) {
  std::vector<Sequence> input;
  for (int i = 0; i < 8; ++i) input.push_back(sequence_of(i, counted(1, 100), 3));
  const Outcome outcome = run(input, {});
  EXPECT_EQ(outcome.finished, 8);
  EXPECT_EQ(outcome.shared, 7 * 99);
}

TEST(Prefixes, OfAScoredTextNothingThatIsScoredIsShared) {
  std::vector<Sequence> input;
  for (int i = 0; i < 6; ++i) {
    Sequence s = sequence_of(i, {}, 0);
    s.scored.emplace(joined(counted(1, 90), counted(i * 100, 20)), 60,
                     ScoreWindows{.positions = 200}, 0);
    s.tokens.assign(s.scored->inputs().begin(), s.scored->inputs().end());
    s.prompt_tokens = static_cast<int>(s.tokens.size());
    input.push_back(std::move(s));
  }
  const Outcome outcome = run(input, {});
  EXPECT_EQ(outcome.finished, 6);
  EXPECT_EQ(outcome.shared, 5 * 59);
}

TEST(Prefixes, OfPromptsThatShareNothingNothingWaitsAndNothingIsCopied) {
  std::vector<Sequence> input;
  for (int i = 0; i < 20; ++i) input.push_back(sequence_of(i, counted(i * 1000, 60), 4));
  const Outcome outcome = run(input, {});
  EXPECT_EQ(outcome.finished, 20);
  EXPECT_EQ(outcome.shared, 0);
}

// Several beginnings, some of which go on from others, and rooms that are too small for all.
TEST(Prefixes, NoRowEverSeesAnothersTokens) {
  int shared = 0;
  for (unsigned seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto one_of = [&](int low, int high) {
      return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
    };
    std::vector<std::vector<std::int32_t>> beginnings(1);
    for (int i = 0; i < one_of(1, 6); ++i) {
      const auto& before = beginnings[random() % beginnings.size()];
      beginnings.push_back(joined(before, counted(10000 * (i + 1), one_of(20, 150))));
    }
    std::vector<Sequence> input;
    for (int i = 0; i < one_of(10, 60); ++i) {
      const auto& beginning = beginnings[random() % beginnings.size()];
      input.push_back(
          sequence_of(i, joined(beginning, counted(i * 100, one_of(1, 40))), one_of(1, 30)));
    }
    const Outcome outcome = run(input, {.window = one_of(0, 2) * one_of(10, 60),
                                        .pages = one_of(35, 120),
                                        .batch_size = one_of(1, 6),
                                        .token_budget = one_of(6, 70),
                                        .stages = one_of(1, 3),
                                        .seed = seed});
    ASSERT_EQ(outcome.finished, static_cast<int>(input.size()));
    shared += outcome.shared;
    if (HasFailure()) return;
  }
  EXPECT_GT(shared, 50000);
}

}  // namespace
}  // namespace sluice::worker::batch
