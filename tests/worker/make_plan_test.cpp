// Oracle: what the job was told, and how pieces of prompts follow from it.
#include "worker/make_plan.h"

#include <gtest/gtest.h>

#include "tests/worker/pipelines.h"
#include "worker/error.h"

namespace sluice::worker {
namespace {

int token_budget(int stages, int batch_size, int told) {
  static const auto model = model::Model::open(tiny_models().front());
  jobs::JobSpec spec;
  spec.shape = {.nodes = stages, .stages = stages};
  spec.batch_size = batch_size;
  spec.token_budget = told;
  return make_plan(spec, model, {}, stages).token_budget;
}

TEST(MakePlan, PiecesShrinkFromThreeStagesOn) {
  EXPECT_EQ(token_budget(1, 8, 128), 128);
  EXPECT_EQ(token_budget(2, 8, 128), 128);
  EXPECT_EQ(token_budget(3, 8, 128), 85);
}

TEST(MakePlan, PiecesLeaveRoomBesideAFullMicroBatch) {
  EXPECT_EQ(token_budget(3, 64, 128), 64 + 32);
}

TEST(MakePlan, PiecesAreNeverMoreThanWasTold) {
  EXPECT_EQ(token_budget(3, 8, 16), 16);
  EXPECT_EQ(token_budget(1, 8, 16), 16);
}

TEST(MakePlan, StopTokensAreOfTheVocabulary) {
  const auto model = model::Model::open(tiny_models().front());
  jobs::JobSpec spec;
  spec.shape = {.nodes = 1, .stages = 1};
  spec.stop_token_ids = {model.config().vocab - 1};
  make_plan(spec, model, {}, 1);
  spec.stop_token_ids = {model.config().vocab};
  EXPECT_THROW(make_plan(spec, model, {}, 1), Error);
}

}  // namespace
}  // namespace sluice::worker
