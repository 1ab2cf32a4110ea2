// Oracle: straight lines, worked out by hand. Times themselves are measured, never tested.
#include "worker/stage_times.h"

#include <gtest/gtest.h>

#include "tests/worker/pipelines.h"

namespace sluice::worker {
namespace {

StageTimes some_times() {
  StageTimes times;
  times.layers_s = {{0, 0}, {1, 10}, {4, 16}, {8, 40}};
  times.decode_position_s = 0.5;
  times.prefill_position_s = 0.25;
  times.head_s = {{0, 0}, {2, 6}};
  return times;
}

batch::BatchPlan plan_of(const std::vector<batch::Segment>& segments) {
  return {.step = 0, .admissions = {}, .segments = segments};
}

TEST(StageTimes, CountTheRowsAndThePositionsTheySee) {
  const StageTimes times = some_times();
  // A row at position 9 sees ten positions.
  EXPECT_DOUBLE_EQ(times.of_layers(plan_of({{.first_position = 9, .tokens = 1, .decode = true}})),
                   10 + 10 * 0.5);
  // Rows at 4, 5, 6 see 5 + 6 + 7; four rows in all.
  EXPECT_DOUBLE_EQ(times.of_layers(plan_of({{.first_position = 9, .tokens = 1, .decode = true},
                                            {.slot = 1, .first_position = 4, .tokens = 3}})),
                   16 + 10 * 0.5 + 18 * 0.25);
}

TEST(StageTimes, LieOnALineBetweenWhatWasMeasuredAndInProportionBeyond) {
  StageTimes times = some_times();
  times.decode_position_s = times.prefill_position_s = 0;
  EXPECT_DOUBLE_EQ(times.of_layers(plan_of({{.tokens = 2}})), 12);
  EXPECT_DOUBLE_EQ(times.of_layers(plan_of({{.tokens = 6}})), 28);
  EXPECT_DOUBLE_EQ(times.of_layers(plan_of({{.tokens = 16}})), 80);
  EXPECT_DOUBLE_EQ(times.of_head(0), 0);
  EXPECT_DOUBLE_EQ(times.of_head(1), 3);
}

TEST(StageTimes, AreMeasuredForEveryKindOfStage) {
  const auto model = model::Model::open(tiny_models().front());
  const int layers = model.config().layers;
  const model::StageRange first{.first = 0, .end = 1, .has_embedding = true};
  const model::StageRange last{.first = 1, .end = layers, .has_head = true};
  for (const auto& range : {first, last}) {
    const auto times = measure_stage(model, range, {.batch_size = 2, .token_budget = 4});
    EXPECT_GT(times.of_layers(plan_of({{.tokens = 4}})), 0);
    EXPECT_EQ(times.of_head(2) > 0, range.has_head);
  }
}

}  // namespace
}  // namespace sluice::worker
