// Oracle: times worked out by hand; and bounds that hold for any schedule.
#include "worker/pipeline/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace sluice::worker::pipeline {
namespace {

constexpr int kVocab = 64, kHidden = 25;                         // a row: 100 bytes
constexpr Network kNetwork{.latency_s = 2, .bytes_per_s = 100};  // a row takes 3 s

struct Answer {
  int prompt_tokens, output_tokens;
};

SimulatedRun run(const SimulatedReplica& replica, const std::vector<Answer>& answers,
                 int batch_size = 1, int token_budget = 8, int pages = 100) {
  std::size_t taken = 0;
  return simulate(replica,
                  batch::Batcher({.batch_size = batch_size,
                                  .token_budget = token_budget,
                                  .stages = static_cast<int>(replica.ranges.size())},
                                 model::PagePool({.full = pages, .ring = 0})),
                  [&]() -> std::optional<batch::Sequence> {
                    if (taken == answers.size()) return std::nullopt;
                    const Answer& answer = answers[taken];
                    batch::Sequence sequence;
                    sequence.index = static_cast<std::int64_t>(taken++);
                    sequence.tokens.resize(static_cast<std::size_t>(answer.prompt_tokens));
                    sequence.prompt_tokens = answer.prompt_tokens;
                    sequence.max_tokens = answer.output_tokens;
                    return sequence;
                  });
}

std::vector<model::StageRange> stages_of(int count) {
  std::vector<model::StageRange> ranges;
  for (int s = 0; s < count; ++s) {
    ranges.push_back(
        {.first = s, .end = s + 1, .has_embedding = s == 0, .has_head = s == count - 1});
  }
  return ranges;
}

// Stage s takes `layers_s[s]` for each row, the head 10 s for each token.
SimulatedReplica replica_of(const std::vector<double>& layers_s, const Network& network) {
  return {.ranges = stages_of(static_cast<int>(layers_s.size())),
          .hidden = kHidden,
          .layers_s =
              [layers_s](int stage, const batch::BatchPlan& plan) {
                return layers_s[static_cast<std::size_t>(stage)] * plan.rows();
              },
          .head_s = [](int, int tokens) { return 10.0 * tokens; },
          .network = network};
}

TEST(Simulation, OneStageTakesTheSumOfItsMicroBatches) {
  auto replica = replica_of({5}, {.bytes_per_s = 1e30});
  replica.leader_s = 1;
  const auto simulated = run(replica, {{8, 3}, {4, 1}});
  EXPECT_EQ(simulated.micro_batches, 4);
  // 12 rows of prompts, 2 of answers, 4 tokens, 4 micro-batches.
  EXPECT_DOUBLE_EQ(simulated.wall_s, 14 * 5 + 4 * 10 + 4 * 1);
  EXPECT_DOUBLE_EQ(simulated.compute_s[0], 14 * 5 + 4 * 10);
}

TEST(Simulation, OneSequenceGoesThroughAllStagesInTurn) {
  const auto simulated = run(replica_of({5, 7, 9}, kNetwork), {{1, 2}});
  // Twice: three stages, two messages of a row (3 s), the head, and the token back (2 s).
  EXPECT_DOUBLE_EQ(simulated.wall_s, 2 * (5 + 3 + 7 + 3 + 9 + 10 + 2));
}

TEST(Simulation, StagesWorkAtOnceAndTheSlowestSetsThePace) {
  const std::vector<Answer> answers(12, {1, 20});
  const auto simulated = run(replica_of({17, 7}, {.bytes_per_s = 1e30}), answers);
  // 240 rows of 17 s on either stage (the last has the head), and one more on the last.
  EXPECT_DOUBLE_EQ(simulated.wall_s, 241 * 17);
  EXPECT_DOUBLE_EQ(simulated.compute_s[0], 240 * 17);
  EXPECT_DOUBLE_EQ(simulated.compute_s[1], 240 * 17);
}

TEST(Simulation, PartsOfASplitHeadWorkAtOnce) {
  auto replica = replica_of({5, 7}, kNetwork);
  for (auto& range : replica.ranges) range.head_is_split = true;
  replica.ranges[0].shard = {.first = 0, .end = kVocab / 4};
  replica.ranges[1].shard = {.first = kVocab / 4, .end = kVocab};
  const double shares_s[] = {4, 6};
  replica.head_s = [&](int stage, int tokens) { return shares_s[stage] * tokens; };
  const auto simulated = run(replica, {{1, 2}});
  // What the first stage sees takes 3 s to come, its part 4 s; its own choice comes like another's.
  EXPECT_DOUBLE_EQ(simulated.wall_s, 2 * (5 + 3 + 7 + std::max(6, 3 + 4) + 2));
}

// Pieces of prompts take several times as long as steps that only decode.
TEST(Simulation, MixedMicroBatchesKeepAllStagesBusyWhilePromptsWait) {
  std::vector<Answer> answers;
  for (int i = 0; i < 600; ++i) answers.push_back({10 + i * 37 % 40, 4 + i * 29 % 25});
  for (int stages = 2; stages <= 4; ++stages) {
    auto replica = replica_of(std::vector<double>(static_cast<std::size_t>(stages)),
                              {.latency_s = 0.01, .bytes_per_s = 1e6});
    replica.layers_s = [](int, const batch::BatchPlan& plan) { return 4.0 + plan.rows(); };
    replica.head_s = [](int, int) { return 0.0; };
    const auto simulated = run(replica, answers, 8, 128, 2000);
    EXPECT_GT(simulated.compute_s[0] / simulated.wall_s, 0.93) << stages << " stages";
  }
}

// The classic pipeline: micro-batches + stages - 1 steps, a bubble of (stages - 1) / that
// (GPipe, Huang et al., 2019).
TEST(Simulation, SixtyFourStagesTakeMicroBatchesPlusStagesLessOne) {
  auto replica = replica_of(std::vector<double>(64, 1.0), {.bytes_per_s = 1e30});
  replica.head_s = [](int, int) { return 0.0; };
  const auto simulated = run(replica, std::vector<Answer>(256, {1, 1}), 1, 8, 1000);
  EXPECT_EQ(simulated.micro_batches, 256);
  EXPECT_NEAR(simulated.wall_s, 256 + 64 - 1, 1e-6);
}

TEST(Simulation, NeverBeatsItsBusiestStage) {
  for (int stages = 1; stages <= 4; ++stages) {
    for (int batch_size = 1; batch_size <= 4; ++batch_size) {
      std::vector<double> layers_s(static_cast<std::size_t>(stages));
      std::iota(layers_s.begin(), layers_s.end(), 3.0);
      std::vector<Answer> answers;
      for (int i = 0; i < 30; ++i) answers.push_back({1 + i * 7 % 13, 1 + i * 5 % 17});
      const auto simulated = run(replica_of(layers_s, kNetwork), answers, batch_size);
      const double busiest_s = std::ranges::max(simulated.compute_s);
      EXPECT_GE(simulated.wall_s, busiest_s);
      int rows = 0, tokens = 0;
      for (const Answer& answer : answers) {
        rows += answer.prompt_tokens + answer.output_tokens - 1;
        tokens += answer.output_tokens;
      }
      EXPECT_DOUBLE_EQ(simulated.compute_s[0], rows * 3.0 + (stages == 1 ? tokens * 10.0 : 0))
          << stages << " stages";
    }
  }
}

}  // namespace
}  // namespace sluice::worker::pipeline
