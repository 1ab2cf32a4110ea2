// Oracle: the drawing of the pipeline in docs: who hands what to whom.
#include "worker/pipeline/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::worker::pipeline {
namespace {

using testing::ElementsAre;

TEST(Schedule, LoneStageSendsTokensToItself) {
  EXPECT_THAT(schedule({.leader = 0, .stage = 0, .stages = 1},
                       {.first = 0, .end = 3, .has_embedding = true, .has_head = true}),
              ElementsAre(Step{StepKind::embed}, Step{StepKind::layers}, Step{StepKind::select},
                          Step{StepKind::send_tokens, 0}));
}

TEST(Schedule, ThreeStagesOfASecondReplica) {
  const Place first{.leader = 3, .stage = 0, .stages = 3};
  EXPECT_THAT(schedule(first, {.first = 0, .end = 2, .has_embedding = true}),
              ElementsAre(Step{StepKind::embed}, Step{StepKind::layers},
                          Step{StepKind::send_activations, 4}));
  const Place middle{.leader = 3, .stage = 1, .stages = 3};
  EXPECT_THAT(schedule(middle, {.first = 2, .end = 4}),
              ElementsAre(Step{StepKind::receive_activations, 3}, Step{StepKind::layers},
                          Step{StepKind::send_activations, 5}));
  const Place last{.leader = 3, .stage = 2, .stages = 3};
  EXPECT_THAT(schedule(last, {.first = 4, .end = 6, .has_head = true}),
              ElementsAre(Step{StepKind::receive_activations, 4}, Step{StepKind::layers},
                          Step{StepKind::select}, Step{StepKind::send_tokens, 3}));
}

TEST(Schedule, HeadAloneComputesNoLayers) {
  EXPECT_THAT(
      schedule({.leader = 0, .stage = 1, .stages = 2}, {.first = 4, .end = 4, .has_head = true}),
      ElementsAre(Step{StepKind::receive_activations, 0}, Step{StepKind::select},
                  Step{StepKind::send_tokens, 0}));
}

}  // namespace
}  // namespace sluice::worker::pipeline
