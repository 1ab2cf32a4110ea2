// Oracle: jobs of which all prompts are simulated, beside those of which some are; counts by hand.
#include "worker/predict.h"

#include <gmock/gmock.h>

#include "tests/jobs/temp_dir.h"
#include "tests/worker/pipelines.h"
#include "worker/error.h"

namespace sluice::worker {
namespace {

using testing::DoubleNear;
using testing::HasSubstr;
using testing::ThrowsMessage;

class Predict : public testing::Test {
 protected:
  Predict() {
    StageTimes times;
    times.layers_s = {{0, 0.0}, {1, 0.010}, {128, 0.100}};
    times.decode_position_s = times.prefill_position_s = 1e-6;
    calibration_.layers = {{.count = 1, .times = times}};
    calibration_.head_rows = model_.config().vocab;
    calibration_.head_s = {{0, 0.0}, {8, 0.004}};
    spec_.batch_size = 4;
    spec_.max_tokens = 64;
    spec_.precision = "exact";
  }

  static PromptSample sample(int sequences, std::int64_t prompts) {
    PromptSample sample{.sequences = {}, .prompts = prompts};
    for (int i = 0; i < sequences; ++i) {
      batch::Sequence sequence;
      sequence.tokens.resize(static_cast<std::size_t>(4 + i % 5));
      sequence.prompt_tokens = 4 + i % 5;
      sequence.max_tokens = 8 + i % 7;
      sample.sequences.push_back(std::move(sequence));
    }
    return sample;
  }

  Prediction of(int replicas, int stages, const PromptSample& sample) {
    spec_.shape = {
        .nodes = replicas * stages, .ranks_per_node = 1, .replicas = replicas, .stages = stages};
    spec_.prompt_count = sample.prompts;
    return predict(spec_, model_, {.prompt_tokens = 6, .output_tokens = 11}, sample, calibration_,
                   0);
  }

  model::Model model_ = model::Model::open(tiny_models().front());
  jobs::JobSpec spec_;
  Calibration calibration_{.cpu = "a CPU",
                           .precision = "exact",
                           .batch_size = 4,
                           .layers = {},
                           .head_s = {},
                           .load_bytes_per_s = 1e6};
};

TEST_F(Predict, SomeOfThePromptsTellWhatAllWouldTake) {
  for (const int stages : {1, 2}) {
    const double all_s = of(1, stages, sample(1400, 1400)).wall_clock_s;
    const double predicted_s = of(1, stages, sample(280, 1400)).wall_clock_s;
    EXPECT_THAT(predicted_s, DoubleNear(all_s, 0.02 * all_s)) << stages << " stages";
  }
}

TEST_F(Predict, ReplicasShareThePrompts) {
  const double one_s = of(1, 1, sample(700, 700)).wall_clock_s;
  EXPECT_THAT(of(2, 1, sample(700, 700)).wall_clock_s, DoubleNear(one_s / 2, 0.03 * one_s));
}

TEST_F(Predict, ReplicasWithoutPromptsAreIdle) {
  const double busy = of(2, 1, sample(4, 4)).busy_shares.at(0);
  EXPECT_THAT(of(64, 1, sample(4, 4)).busy_shares.at(0), DoubleNear(busy / 16, busy / 64));
}

TEST_F(Predict, NeverBeatsItsBusiestStage) {
  const auto prediction = of(1, 2, sample(50, 50));
  EXPECT_LE(std::ranges::max(prediction.busy_shares), 1);
  EXPECT_EQ(prediction.busy_shares.size(), 2u);
  EXPECT_EQ(prediction.weight_bytes.size(), 2u);
  EXPECT_GT(prediction.load_s, 0);
}

TEST_F(Predict, MoreStagesThanLayersAreRefused) {
  EXPECT_THROW(of(1, model_.config().layers + 2, sample(4, 4)), Error);
}

TEST_F(Predict, PromptsAreChosenEvenlyAndAnswersExpectedShorter) {
  const tests::TempDir dir;
  std::string lines;
  for (int i = 0; i < 6000; ++i) {
    jobs::Prompt prompt;
    prompt.id = std::to_string(i + 1);
    prompt.token_ids.emplace(static_cast<std::size_t>(i < 3000 ? 1 : 3), 1);
    lines += jobs::to_line(prompt) + "\n";
  }
  dir.write("prompts.jsonl", lines);
  IntakeRules rules{.max_positions = 64, .max_tokens = 20};
  const auto some = sample_prompts(dir / "prompts.jsonl", 6000, model_, rules, 0.25);
  EXPECT_EQ(std::ssize(some.sequences), kPromptsPredicted);
  EXPECT_EQ(some.prompts, 6000);
  EXPECT_EQ(some.prompt_tokens, 2 * kPromptsPredicted);  // half of them have one, half three
  EXPECT_EQ(some.output_tokens, 5 * kPromptsPredicted);
  rules.max_positions = 2;  // no room for an answer to those of three tokens
  const auto fitting = sample_prompts(dir / "prompts.jsonl", 6000, model_, rules, 1);
  EXPECT_EQ(fitting.prompts, 3000);
}

}  // namespace
}  // namespace sluice::worker
