// Oracle: delays of known size, put where only one cause can explain them: a late message is
// communication of the stage that waits for it, a slow stage is bubble of the others. Expected is
// what the delay really took (on a busy machine more than was asked for), within 5 %.
#include <gtest/gtest.h>

#include "kernels/cpu.h"
#include "tests/fakes/slow_backend.h"
#include "tests/worker/pipelines.h"

namespace sluice::worker {
namespace {

using pipeline::Category;

model::Model tiny() {
  return model::Model::open(std::filesystem::path(SLUICE_TEST_DATA) /
                            "tiny/smollm-tied-f16/model.gguf");
}

// One sequence alone: nothing overlaps, each stage waits for the other.
jobs::Prompt lone_prompt() {
  jobs::Prompt prompt;
  prompt.token_ids = std::vector<std::int32_t>{43};
  prompt.max_tokens = 60;
  prompt.ignore_eos = true;
  return prompt;
}

constexpr int kSteps = 60;
constexpr PipelineShape kTwoStages{.stages = 2, .batch_size = 1, .token_budget = 16};

TEST(PipelineBreakdown, LateMessagesAreCommunication) {
  const PipelineRun run =
      answer_all(tiny(), kTwoStages, {lone_prompt()},
                 {.make_backend = {}, .work_delay = std::chrono::milliseconds(5)});
  const double late_s = run.work_transit_s;
  ASSERT_GE(late_s, kSteps * 0.005);
  EXPECT_NEAR(run.ranks.at(1).seconds.at(Category::communication), late_s, 0.05 * late_s);
  // The first stage waits all that time for tokens that nobody has begun to send.
  EXPECT_GE(run.ranks.at(0).seconds.at(Category::bubble), 0.95 * late_s);
}

TEST(PipelineBreakdown, SlowStageIsBubbleOfTheOther) {
  for (const int slow : {0, 1}) {
    SCOPED_TRACE("slow stage " + std::to_string(slow));
    double slept_s = 0;
    const auto make_backend = [&](int rank) {
      auto backend = kernels::make_cpu_backend(kernels::Precision::exact);
      if (rank != slow) return backend;
      return fakes::make_slow_backend(std::move(backend), std::chrono::milliseconds(5), slept_s);
    };
    const PipelineRun run =
        answer_all(tiny(), kTwoStages, {lone_prompt()}, {.make_backend = make_backend});
    const auto& mine = run.ranks.at(slow).seconds;
    const double busy_s = mine.at(Category::prefill) + mine.at(Category::decode);
    ASSERT_GE(slept_s, kSteps * 0.005);
    EXPECT_GE(busy_s, slept_s);
    // Between two waits the slow stage computes and moves its messages; the other only waits.
    const double wait_s = busy_s + mine.at(Category::communication) + mine.at(Category::sampling) +
                          mine.at(Category::output);
    EXPECT_NEAR(run.ranks.at(1 - slow).seconds.at(Category::bubble), wait_s, 0.05 * wait_s);
  }
}

// Reading prompts takes a good part of the window, on a thread beside the pipeline's.
TEST(PipelineBreakdown, StepsDoNotWaitForThePromptsOfLaterOnes) {
  double slept_s = 0;
  const auto make_backend = [&](int) {
    return fakes::make_slow_backend(kernels::make_cpu_backend(kernels::Precision::exact),
                                    std::chrono::milliseconds(5), slept_s);
  };
  constexpr int kPrompts = 64;
  constexpr std::chrono::milliseconds kReading{10};
  std::vector<jobs::Prompt> prompts(kPrompts, lone_prompt());
  for (int i = 0; i < kPrompts; ++i) prompts[static_cast<std::size_t>(i)].index = i;
  for (jobs::Prompt& prompt : prompts) prompt.max_tokens = 10;
  const PipelineRun run =
      answer_all(tiny(), {.stages = 1, .batch_size = 4, .token_budget = 16}, prompts,
                 {.make_backend = make_backend, .prompt_delay = kReading});
  const auto& leader = run.ranks.at(0);
  const double computing_s =
      leader.seconds.at(Category::prefill) + leader.seconds.at(Category::decode);
  const double reading_s = kPrompts * std::chrono::duration<double>(kReading).count();
  EXPECT_GE(slept_s, reading_s) << "there are steps enough to read beside";
  EXPECT_NEAR(leader.wall_s, computing_s, 0.1 * reading_s);
}

}  // namespace
}  // namespace sluice::worker
