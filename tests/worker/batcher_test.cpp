// Oracle: the rules of continuous batching, restated as properties of a simulated pipeline that
// returns micro-batches in order, a random while after they were sent.
#include "worker/batch/batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "worker/error.h"

namespace sluice::worker::batch {
namespace {

Sequence sequence(std::int64_t index, int prompt_tokens, int max_tokens) {
  Sequence s;
  s.index = index;
  s.id = std::to_string(index);
  s.tokens.assign(static_cast<std::size_t>(prompt_tokens), static_cast<std::int32_t>(index));
  s.prompt_tokens = prompt_tokens;
  s.max_tokens = max_tokens;
  return s;
}

struct Life {
  int admitted = 0, prompt_rows = 0, decode_rows = 0, finished = 0;
};

// Runs all sequences through a pipeline that holds up to `depth` micro-batches.
struct Simulation {
  BatcherLimits limits;
  int pages = 1000;
  unsigned seed = 1;
  std::vector<Sequence> input = {};

  std::vector<MicroBatch> sent = {};
  std::map<std::int64_t, Life> lives = {};
  std::vector<std::int64_t> admission_order = {};
  int in_flight_max = 0;
  bool stuck = false;

  void run() {
    std::mt19937 random(seed);
    Batcher batcher(limits, model::PagePool({.full = pages}));
    std::deque<BatchPlan> under_way;
    std::map<int, std::int64_t> owner;             // slot -> sequence
    std::map<int, std::set<std::int32_t>> tables;  // slot -> pages
    std::size_t added = 0;
    double now_s = 0;
    for (int round = 0; round < 200000; ++round) {
      now_s += 1;
      while (added < input.size() && batcher.wants_sequences()) batcher.add(input[added++]);
      auto micro_batch =
          random() % 3 == 0 && !under_way.empty() ? std::nullopt : batcher.next(now_s);
      in_flight_max = std::max(in_flight_max, batcher.in_flight());
      if (micro_batch) {
        observe(*micro_batch, owner, tables);
        under_way.push_back(micro_batch->plan);
        sent.push_back(*std::move(micro_batch));
      } else if (!under_way.empty()) {
        const BatchPlan plan = under_way.front();
        under_way.pop_front();
        const std::vector<sampling::Drawn> tokens(static_cast<std::size_t>(plan.tokens_wanted()),
                                                  {.id = 7});
        for (const Finished& finished : batcher.deliver(plan.step, tokens, now_s)) {
          ++lives[finished.sequence.index].finished;
          EXPECT_EQ(finished.sequence.output_tokens(), finished.sequence.max_tokens);
        }
      } else {
        stuck = added < input.size() || !batcher.idle();
        return;
      }
    }
    stuck = true;
  }

  void observe(const MicroBatch& micro_batch, std::map<int, std::int64_t>& owner,
               std::map<int, std::set<std::int32_t>>& tables) {
    for (const Admission& admission : micro_batch.plan.admissions) {
      tables[admission.slot] = {admission.pages.full.begin(), admission.pages.full.end()};
      owner.erase(admission.slot);
    }
    std::size_t at = 0;
    for (const Segment& segment : micro_batch.plan.segments) {
      if (!owner.contains(segment.slot)) {
        EXPECT_EQ(segment.first_position, 0);
        owner[segment.slot] = micro_batch.tokens[at];  // a prompt's tokens are its index
        admission_order.push_back(owner[segment.slot]);
        ++lives[owner[segment.slot]].admitted;
      }
      Life& life = lives[owner[segment.slot]];
      EXPECT_EQ(segment.first_position, life.prompt_rows + life.decode_rows);
      (segment.decode ? life.decode_rows : life.prompt_rows) += segment.tokens;
      EXPECT_LE(segment.first_position + segment.tokens,
                static_cast<int>(tables[segment.slot].size()) * kernels::kKvPageTokens);
      at += static_cast<std::size_t>(segment.tokens);
    }
    EXPECT_EQ(at, micro_batch.tokens.size());
  }

  void expect_all_answered_once() {
    EXPECT_FALSE(stuck);
    for (const Sequence& s : input) {
      const Life& life = lives[s.index];
      EXPECT_EQ(life.admitted, 1) << s.index;
      EXPECT_EQ(life.finished, 1) << s.index;
      EXPECT_EQ(life.prompt_rows, s.prompt_tokens) << s.index;
      EXPECT_EQ(life.decode_rows, s.max_tokens - 1) << s.index;
    }
    for (const MicroBatch& micro_batch : sent) {
      EXPECT_LE(micro_batch.plan.rows(), limits.token_budget);
      EXPECT_LE(static_cast<int>(micro_batch.plan.segments.size()), limits.batch_size);
      EXPECT_GT(micro_batch.plan.rows(), 0);
    }
  }
};

TEST(Batcher, EveryPromptIsAdmittedOnceInOrderAndFinishedOnce) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    const auto one_of = [&](int low, int high) {
      return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
    };
    Simulation simulation{.limits = {.batch_size = one_of(1, 9),
                                     .token_budget = one_of(1, 70),
                                     .stages = one_of(1, 4)},
                          .pages = one_of(12, 60),
                          .seed = seed};
    for (int i = 0; i < one_of(1, 40); ++i) {
      simulation.input.push_back(sequence(i, one_of(1, 200), one_of(1, 60)));
    }
    SCOPED_TRACE("seed " + std::to_string(seed));
    simulation.run();
    simulation.expect_all_answered_once();
  }
}

TEST(Batcher, RoomForOneSequenceAnswersThemOneByOne) {
  Simulation simulation{.limits = {.batch_size = 4, .token_budget = 64, .stages = 2},
                        .pages = model::pages_for(60)};
  for (int i = 0; i < 5; ++i) simulation.input.push_back(sequence(i, 40, 20));
  simulation.run();
  simulation.expect_all_answered_once();
  EXPECT_EQ(simulation.in_flight_max, 1);
  EXPECT_THAT(simulation.admission_order, testing::ElementsAre(0, 1, 2, 3, 4));
}

TEST(Batcher, AnswersThatHaveBegunRideWithAHugePrompt) {
  Simulation simulation{.limits = {.batch_size = 4, .token_budget = 32, .stages = 2}, .pages = 200};
  constexpr int huge = 3;
  for (int i = 0; i < huge; ++i) simulation.input.push_back(sequence(i, 5, 10));
  simulation.input.push_back(sequence(huge, 2000, 4));
  for (int i = huge + 1; i < 12; ++i) simulation.input.push_back(sequence(i, 5, 10));
  simulation.run();
  simulation.expect_all_answered_once();
  std::size_t last_small = 0, last_huge = 0;
  for (std::size_t i = 0; i < simulation.sent.size(); ++i) {
    for (const Segment& s : simulation.sent[i].plan.segments) {
      if (s.decode && s.slot < huge && s.first_position == 5 + 10 - 2) last_small = i;
      if (s.decode || s.slot != huge) continue;
      last_huge = i;
      if (s.first_position + s.tokens < 2000) {
        EXPECT_EQ(simulation.sent[i].plan.rows(), 32) << "it gets all that the answers leave";
      }
    }
  }
  EXPECT_GT(last_small, 0U);
  EXPECT_LT(last_small, last_huge);
}

TEST(Batcher, RoomForManyHoldsFourFullMicroBatchesAStage) {
  Simulation simulation{.limits = {.batch_size = 3, .token_budget = 64, .stages = 2}};
  for (int i = 0; i < 100; ++i) simulation.input.push_back(sequence(i, 5, 20));
  simulation.run();
  EXPECT_FALSE(simulation.stuck);
  EXPECT_EQ(simulation.in_flight_max, 4 * 3 * 2);
}

TEST(Batcher, PiecesOfAPromptFollowEachOtherWithoutWaiting) {
  Batcher batcher({.batch_size = 1, .token_budget = 16, .stages = 3},
                  model::PagePool({.full = 10}));
  batcher.add(sequence(0, 100, 4));
  for (int piece = 0; piece < 5; ++piece) {  // two more than stages may be under way
    const auto micro_batch = batcher.next(0);
    ASSERT_TRUE(micro_batch);
    EXPECT_EQ(micro_batch->plan.segments.at(0).first_position, piece * 16);
  }
  EXPECT_FALSE(batcher.next(0));
  batcher.deliver(0, {}, 1);
  EXPECT_TRUE(batcher.next(1));
}

TEST(Batcher, MicroBatchesAreFullOrGiveEachStageAnEvenShare) {
  for (int stages = 1; stages <= 4; ++stages) {
    for (int batch_size = 1; batch_size <= 9; ++batch_size) {
      for (int sequences = 1; sequences <= 50; ++sequences) {
        const BatcherLimits limits{.batch_size = batch_size, .token_budget = 99, .stages = stages};
        const int size = micro_batch_size(sequences, limits);
        if (sequences >= batch_size * stages) {
          EXPECT_EQ(size, batch_size);
          continue;
        }
        EXPECT_GE(size * stages, sequences);
        EXPECT_LT((size - 1) * stages, sequences);  // no smaller size would do
      }
    }
  }
}

TEST(Batcher, SequencesWaitForCompanyWhileTheStagesHaveWork) {
  constexpr int sequences = 22, answer = 12;
  Simulation simulation{.limits = {.batch_size = 8, .token_budget = 64, .stages = 2}};
  for (int i = 0; i < sequences; ++i) simulation.input.push_back(sequence(i, 1, answer));
  simulation.run();
  simulation.expect_all_answered_once();
  int decoding = 0;
  for (const MicroBatch& micro_batch : simulation.sent)
    decoding += micro_batch.plan.decode_rows() > 0;
  // 242 tokens, 8 at a time; the last sixteen sequences end together, nearly.
  EXPECT_LE(decoding, (sequences * (answer - 1) + 7) / 8 + 2);
}

TEST(Batcher, DecodingMicroBatchesGrowTogetherAgain) {
  Batcher batcher({.batch_size = 4, .token_budget = 64, .stages = 2},
                  model::PagePool({.full = 100}));
  batcher.add(sequence(0, 1, 50));
  ASSERT_EQ(batcher.next(0)->plan.segments.size(), 1U);  // alone: nobody else is there
  for (int i = 1; i < 4; ++i) batcher.add(sequence(i, 1, 50));
  ASSERT_EQ(batcher.next(0)->plan.segments.size(), 2U);
  ASSERT_EQ(batcher.next(0)->plan.segments.size(), 1U);
  const std::vector<sampling::Drawn> one{{.id = 5}}, two{{.id = 5}, {.id = 5}};
  batcher.deliver(0, one, 1);
  EXPECT_FALSE(batcher.next(1));  // two are under way: wait for company
  batcher.deliver(1, two, 2);
  EXPECT_EQ(batcher.next(2)->plan.segments.size(), 2U);
  batcher.deliver(2, one, 3);
  EXPECT_EQ(batcher.next(3)->plan.segments.size(), 2U);
}

TEST(Batcher, LongAnswersDoNotEndAloneWhereAllFindRoom) {
  Batcher batcher({.batch_size = 8, .token_budget = 64, .stages = 1},
                  model::PagePool({.full = 1000}));
  for (int i = 0; i < 24; ++i) batcher.add(sequence(i, 1, i % 6 == 0 ? 200 : 40));
  int steps = 0;  // of a lone stage
  for (; const auto micro_batch = batcher.next(0); ++steps) {
    const std::vector<sampling::Drawn> tokens(
        static_cast<std::size_t>(micro_batch->plan.tokens_wanted()), {.id = 7});
    batcher.deliver(micro_batch->plan.step, tokens, 0);
  }
  EXPECT_TRUE(batcher.idle());
  EXPECT_LE(steps, 220) << "4 of 200 and 20 of 40 tokens, 8 at a time: 200 would do";
}

TEST(Batcher, SequenceThatNeverFitsIsRefused) {
  Batcher batcher({.batch_size = 1, .token_budget = 8, .stages = 1}, model::PagePool({.full = 1}));
  EXPECT_THROW(batcher.add(sequence(0, 30, 3)), Error);
}

TEST(Batcher, TokensOutOfTurnAreRefused) {
  Batcher batcher({.batch_size = 1, .token_budget = 8, .stages = 1}, model::PagePool({.full = 1}));
  batcher.add(sequence(0, 3, 3));
  ASSERT_TRUE(batcher.next(0));
  const std::vector<sampling::Drawn> one{{.id = 5}}, two{{.id = 5}, {.id = 5}};
  EXPECT_THROW(batcher.deliver(1, one, 0), Error);
  EXPECT_THROW(batcher.deliver(0, two, 0), Error);
}

TEST(Batcher, UnfinishedTokensAreCounted) {
  Batcher batcher({.batch_size = 2, .token_budget = 8, .stages = 1}, model::PagePool({.full = 4}));
  batcher.add(sequence(0, 1, 9));
  batcher.add(sequence(1, 1, 9));
  const std::vector<sampling::Drawn> two{{.id = 5}, {.id = 5}};
  for (std::uint64_t step = 0; step < 3; ++step) {
    ASSERT_TRUE(batcher.next(0));
    batcher.deliver(step, two, 0);
  }
  EXPECT_EQ(batcher.unfinished_output_tokens(), 6);
}

TEST(Sequence, EndsAtAStopTokenOrAtItsLength) {
  Sequence s = sequence(0, 2, 3);
  s.stop_token_ids = {4, 9};
  EXPECT_EQ(s.accept({.id = 1}, 0.5), std::nullopt);
  EXPECT_EQ(s.accept({.id = 9}, 0.7), jobs::FinishReason::stop);
  EXPECT_EQ(s.output_tokens(), 2);
  EXPECT_EQ(s.first_token_s, 0.5);
  EXPECT_EQ(s.last_token_s, 0.7);
  s.stop_token_ids = {};
  EXPECT_EQ(s.accept({.id = 9}, 0.9), jobs::FinishReason::length);
}

}  // namespace
}  // namespace sluice::worker::batch
