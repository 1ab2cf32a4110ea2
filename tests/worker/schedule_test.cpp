// Oracle: the drawing of the pipeline in docs: who hands what to whom.
#include "worker/pipeline/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::worker::pipeline {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Schedule, LoneStageSendsItsChoiceToItself) {
  const std::vector<model::StageRange> ranges = {
      {.first = 0, .end = 3, .has_embedding = true, .has_head = true}};
  const Place lone{.leader = 0, .stage = 0, .stages = 1};
  EXPECT_THAT(schedule(lone, ranges).micro_batch,
              ElementsAre(Step{StepKind::embed}, Step{StepKind::layers}, Step{StepKind::select},
                          Step{StepKind::send_choice, 0}));
  EXPECT_THAT(schedule(lone, ranges).head, IsEmpty());
  EXPECT_THAT(head_holders(lone, ranges), ElementsAre(0));
}

TEST(Schedule, ThreeStagesOfASecondReplica) {
  const std::vector<model::StageRange> ranges = {{.first = 0, .end = 2, .has_embedding = true},
                                                 {.first = 2, .end = 4},
                                                 {.first = 4, .end = 6, .has_head = true}};
  const Place first{.leader = 3, .stage = 0, .stages = 3};
  EXPECT_THAT(schedule(first, ranges).micro_batch,
              ElementsAre(Step{StepKind::embed}, Step{StepKind::layers},
                          Step{StepKind::send_activations, 4}));
  const Place middle{.leader = 3, .stage = 1, .stages = 3};
  EXPECT_THAT(schedule(middle, ranges).micro_batch,
              ElementsAre(Step{StepKind::receive_activations, 3}, Step{StepKind::layers},
                          Step{StepKind::send_activations, 5}));
  const Place last{.leader = 3, .stage = 2, .stages = 3};
  EXPECT_THAT(schedule(last, ranges).micro_batch,
              ElementsAre(Step{StepKind::receive_activations, 4}, Step{StepKind::layers},
                          Step{StepKind::select}, Step{StepKind::send_choice, 3}));
  EXPECT_THAT(head_holders(first, ranges), ElementsAre(5));
}

TEST(Schedule, HeadAloneComputesNoLayers) {
  const std::vector<model::StageRange> ranges = {{.first = 0, .end = 4, .has_embedding = true},
                                                 {.first = 4, .end = 4, .has_head = true}};
  EXPECT_THAT(schedule({.leader = 0, .stage = 1, .stages = 2}, ranges).micro_batch,
              ElementsAre(Step{StepKind::receive_activations, 0}, Step{StepKind::select},
                          Step{StepKind::send_choice, 0}));
}

TEST(Schedule, ASplitHeadsInputGoesToWhoHoldsSomeOfIt) {
  std::vector<model::StageRange> ranges = {
      {.first = 0, .end = 2, .has_embedding = true, .shard = {.first = 0, .end = 256}},
      {.first = 2, .end = 4},
      {.first = 4, .end = 6, .has_head = true, .shard = {.first = 256, .end = 1000}}};
  for (auto& range : ranges) range.head_is_split = true;
  const Place first{.leader = 3, .stage = 0, .stages = 3};
  EXPECT_THAT(schedule(first, ranges).micro_batch,
              ElementsAre(Step{StepKind::embed}, Step{StepKind::layers},
                          Step{StepKind::send_activations, 4}));
  EXPECT_THAT(schedule(first, ranges).head,
              ElementsAre(Step{StepKind::receive_hidden, 5}, Step{StepKind::select},
                          Step{StepKind::send_choice, 3}));
  EXPECT_THAT(schedule({.leader = 3, .stage = 1, .stages = 3}, ranges).head, IsEmpty());
  EXPECT_THAT(schedule({.leader = 3, .stage = 2, .stages = 3}, ranges).micro_batch,
              ElementsAre(Step{StepKind::receive_activations, 4}, Step{StepKind::layers},
                          Step{StepKind::final_norm}, Step{StepKind::send_hidden, 3},
                          Step{StepKind::select}, Step{StepKind::send_choice, 3}));
  EXPECT_THAT(head_holders(first, ranges), ElementsAre(3, 5));
}

}  // namespace
}  // namespace sluice::worker::pipeline
