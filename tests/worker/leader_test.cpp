// Oracle: what cannot be otherwise: a run that is told to stop computes nothing more, a stage that
// nobody gives work only waits, and a world of which one rank has failed does not begin.
#include "worker/leader.h"

#include <gtest/gtest.h>

#include <new>

#include "kernels/cpu.h"
#include "tests/worker/pipelines.h"
#include "worker/error.h"

namespace sluice::worker {
namespace {

using pipeline::Category;

constexpr PipelineShape kTwoStages{.stages = 2, .batch_size = 2, .token_budget = 16};

model::Model tiny() {
  return model::Model::open(std::filesystem::path(SLUICE_TEST_DATA) /
                            "tiny/smollm-tied-f16/model.gguf");
}

std::vector<jobs::Prompt> prompts(int count, std::int32_t token) {
  std::vector<jobs::Prompt> prompts(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    jobs::Prompt& prompt = prompts[static_cast<std::size_t>(i)];
    prompt.index = i;
    prompt.token_ids = std::vector<std::int32_t>{token};
    prompt.max_tokens = 4;
  }
  return prompts;
}

constexpr std::int32_t kGood = 43, kNoToken = 1 << 20;

TEST(Leader, SignalBeforeTheFirstStepComputesNothing) {
  const PipelineRun run =
      answer_all(tiny(), kTwoStages, prompts(5, kGood), {.should_stop = [] { return true; }});
  EXPECT_TRUE(run.report.stopped);
  EXPECT_TRUE(run.results.empty());
  for (const auto& [rank, figures] : run.ranks) EXPECT_EQ(figures.counts.micro_batches, 0) << rank;
}

TEST(Leader, SignalIsNoticedAmongPromptsThatNeedNoStep) {
  int answered = 0;
  const PipelineRun run =
      answer_all(tiny(), kTwoStages, prompts(1000, kNoToken),
                 {.should_stop = [&] { return answered == 10; }, .answered = [&] { ++answered; }});
  EXPECT_TRUE(run.report.stopped);
  EXPECT_EQ(run.report.prompts_failed, 10);
}

TEST(Leader, StageWithoutWorkOnlyWaitsAllTheWindow) {
  const PipelineRun run = answer_all(tiny(), kTwoStages, prompts(1000, kNoToken));
  EXPECT_EQ(run.report.prompts_failed, 1000);
  const auto& idle = run.ranks.at(1);
  EXPECT_GT(idle.wall_s, 0);
  EXPECT_EQ(idle.wall_s, run.ranks.at(0).wall_s);
  EXPECT_NEAR(idle.seconds.at(Category::bubble), idle.wall_s, 1e-9);
}

TEST(Leader, RefusedPromptIsAnsweredOnceWithItsRefusalAndNothingIsComputed) {
  auto asked = prompts(6, kGood);
  for (const std::size_t i : {0U, 3U}) {
    asked[i].token_ids.reset();
    asked[i].refusal = {.code = "invalid_request", .message = "line " + std::to_string(i)};
  }
  const PipelineRun run = answer_all(tiny(), kTwoStages, asked);
  EXPECT_EQ(run.report.prompts_failed, 2);
  EXPECT_EQ(run.report.prompts_ok, 4);
  ASSERT_EQ(run.results.size(), 6U);
  EXPECT_EQ(run.results.at(3).error, asked[3].refusal);
  EXPECT_EQ(run.results.at(3).prompt_tokens, 0);
}

TEST(Engine, RankWithoutMemoryIsNamedAndEndsTheWorld) {
  const auto make_backend = [](int rank) {
    if (rank == 1) throw std::bad_alloc();
    return kernels::make_cpu_backend(kernels::Precision::exact);
  };
  try {
    answer_all(tiny(), kTwoStages, prompts(1, kGood), {.make_backend = make_backend});
    FAIL() << "it began";
  } catch (const Error& error) {
    const std::string what = error.what();
    EXPECT_EQ(what.find("rank 1: there is not enough memory"), 0U) << what;
    EXPECT_NE(what.find("max-seq-len"), std::string::npos) << what;
  }
}

}  // namespace
}  // namespace sluice::worker
