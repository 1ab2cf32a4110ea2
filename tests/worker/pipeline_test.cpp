// Oracle: greedy ids of the tiny models, computed with Hugging Face transformers in fp32
// (tests/data/tiny), and the definitions of docs/data-model.md for where the time goes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "kernels/cpu.h"
#include "tests/fakes/deferred_backend.h"
#include "tests/worker/pipelines.h"

namespace sluice::worker {
namespace {

std::filesystem::path tiny(const std::string& name) {
  return std::filesystem::path(SLUICE_TEST_DATA) / "tiny" / name;
}

constexpr const char* kTinyModels[] = {"llama-rope3-tied-bf16", "smollm-tied-f16"};

struct TinyCases {
  model::Model model;
  std::vector<ReferenceCase> cases;
  explicit TinyCases(const std::string& name)
      : model(model::Model::open(tiny(name) / "model.gguf")),
        cases(read_cases(tiny(name) / "cases.jsonl")) {}

  std::vector<jobs::Prompt> prompts(bool ignore_eos) const {
    std::vector<jobs::Prompt> list;
    for (const ReferenceCase& one : cases) {
      list.push_back(prompt_of(one, static_cast<std::int64_t>(list.size())));
      list.back().ignore_eos = ignore_eos;
    }
    return list;
  }

  void expect_reference(const PipelineRun& run, bool ignore_eos) const {
    ASSERT_EQ(run.results.size(), cases.size());
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const jobs::Result& result = run.results.at(static_cast<std::int64_t>(i));
      const auto& expected = ignore_eos ? cases[i].output_ignoring_eos : cases[i].output;
      EXPECT_EQ(result.token_ids, expected) << cases[i].id;
      EXPECT_EQ(to_string(result.finish_reason), ignore_eos ? "length" : cases[i].finish_reason);
      EXPECT_EQ(result.prompt_tokens, static_cast<int>(cases[i].prompt.size()));
    }
  }
};

class PipelineTokens : public testing::TestWithParam<std::tuple<const char*, int, int, int>> {
 protected:
  PipelineShape shape() const {
    return {.stages = std::get<1>(GetParam()),
            .batch_size = std::get<2>(GetParam()),
            .token_budget = std::get<3>(GetParam())};
  }
};

TEST_P(PipelineTokens, EqualTheReferenceInEveryLayout) {
  const TinyCases tiny_cases(std::get<0>(GetParam()));
  tiny_cases.expect_reference(answer_all(tiny_cases.model, shape(), tiny_cases.prompts(true)),
                              true);
}

INSTANTIATE_TEST_SUITE_P(Layouts, PipelineTokens,
                         testing::Combine(testing::Values("llama-rope3-tied-bf16",
                                                          "smollm-tied-f16"),
                                          testing::Values(1, 2, 3),       // stages
                                          testing::Values(1, 4, 8),       // batch size
                                          testing::Values(3, 16, 128)));  // token budget

// Nothing above the backend reads device memory or relies on calls being done.
TEST(Pipeline, TokensEqualTheReferenceOnADeferredDevice) {
  const PipelineHooks hooks{.make_backend = [](int) {
    return fakes::make_deferred_backend(kernels::make_cpu_backend(kernels::Precision::exact));
  }};
  for (const char* name : kTinyModels) {
    const TinyCases tiny_cases(name);
    for (const int stages : {1, 3}) {
      const PipelineShape shape{.stages = stages, .batch_size = 4, .token_budget = 24};
      tiny_cases.expect_reference(
          answer_all(tiny_cases.model, shape, tiny_cases.prompts(true), hooks), true);
    }
  }
}

TEST(Pipeline, AnswersEndAtTheModelsStopTokens) {
  for (const char* name : kTinyModels) {
    const TinyCases tiny_cases(name);
    tiny_cases.expect_reference(
        answer_all(tiny_cases.model, {.stages = 2}, tiny_cases.prompts(false)), false);
  }
}

TEST(Pipeline, RoomForOneSequenceIsEnough) {
  const TinyCases tiny_cases("smollm-tied-f16");
  const PipelineShape shape{.stages = 2, .batch_size = 4, .token_budget = 64, .kv_tokens = 200};
  tiny_cases.expect_reference(answer_all(tiny_cases.model, shape, tiny_cases.prompts(true)), true);
}

TEST(Pipeline, PromptsThatCannotBeAnsweredAreErrorsOfTheirOwn) {
  const TinyCases tiny_cases("smollm-tied-f16");
  std::vector<jobs::Prompt> prompts = tiny_cases.prompts(false);
  const auto add = [&](auto change) {
    jobs::Prompt prompt;
    prompt.index = static_cast<std::int64_t>(prompts.size());
    prompt.id = "bad" + std::to_string(prompt.index);
    change(prompt);
    prompts.push_back(prompt);
  };
  const auto first_bad = static_cast<std::int64_t>(prompts.size());
  add([](jobs::Prompt& p) { p.text = ""; });
  add([](jobs::Prompt& p) { p.text = "\xff\xfe"; });
  add([](jobs::Prompt& p) { p.token_ids = std::vector<std::int32_t>{1, 900}; });
  add([](jobs::Prompt& p) { p.token_ids = std::vector<std::int32_t>(512, 5); });
  add([](jobs::Prompt& p) {
    p.text = "Rain";
    p.stop_token_ids = {0, 900};
  });
  const PipelineRun run = answer_all(tiny_cases.model, {.stages = 2}, prompts);
  EXPECT_EQ(run.report.prompts_failed, 5);
  EXPECT_EQ(run.report.prompts_ok, first_bad);
  const auto code = [&](int i) { return run.results.at(first_bad + i).error.value().code; };
  EXPECT_EQ(code(0), "empty_prompt");
  EXPECT_EQ(code(1), "bad_text");
  EXPECT_EQ(code(2), "bad_token_id");
  EXPECT_EQ(code(3), "prompt_too_long");
  EXPECT_EQ(code(4), "bad_token_id");
}

TEST(Pipeline, TokenThatEndsAnAnswerIsAnIdButNoText) {
  const TinyCases tiny_cases("smollm-tied-f16");
  jobs::Prompt prompt = prompt_of(tiny_cases.cases.front(), 0);
  const auto& ids = tiny_cases.cases.front().output;
  prompt.stop_token_ids = {ids.at(2)};  // an ordinary token, named by the user
  prompt.ignore_eos = true;             // forgets the model's own stop tokens, not the user's
  const jobs::Result result = answer_all(tiny_cases.model, {.stages = 1}, {prompt}).results.at(0);
  EXPECT_EQ(result.token_ids, std::vector(ids.begin(), ids.begin() + 3));
  EXPECT_EQ(result.finish_reason, jobs::FinishReason::stop);
  const std::vector<std::int32_t> spoken(ids.begin(), ids.begin() + 2);
  EXPECT_EQ(result.text, tiny_cases.model.tokenizer().decode(spoken, true));
}

TEST(Pipeline, AnswerIsCutWhereTheContextEnds) {
  const TinyCases tiny_cases("smollm-tied-f16");
  jobs::Prompt prompt;
  prompt.token_ids = std::vector<std::int32_t>(500, 5);
  prompt.max_tokens = 100;
  prompt.ignore_eos = true;
  const PipelineRun run = answer_all(tiny_cases.model, {.stages = 1}, {prompt});
  EXPECT_EQ(run.results.at(0).token_ids.size(), 12U);
  EXPECT_EQ(run.results.at(0).finish_reason, jobs::FinishReason::length);
}

TEST(Pipeline, RankThatFailsEndsTheOthersWithItsMessage) {
  const TinyCases tiny_cases("smollm-tied-f16");
  const PipelineHooks hooks{.make_backend = [](int rank) {
    if (rank == 1) throw Error("no device here");
    return kernels::make_cpu_backend(kernels::Precision::exact);
  }};
  try {
    answer_all(tiny_cases.model, {.stages = 3}, tiny_cases.prompts(false), hooks);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "rank 1: no device here");
  }
}

TEST(Pipeline, OccupancyCountsTheSequencesOfMicroBatchesThatDecode) {
  const TinyCases tiny_cases("smollm-tied-f16");
  std::vector<jobs::Prompt> prompts(6);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    prompts[i].index = static_cast<std::int64_t>(i);
    prompts[i].token_ids = std::vector<std::int32_t>{5};
    prompts[i].max_tokens = 11;
    prompts[i].ignore_eos = true;
  }
  const auto counts = [&](int batch_size) {
    const PipelineRun run =
        answer_all(tiny_cases.model, {.stages = 1, .batch_size = batch_size}, prompts);
    const pipeline::StageCounts& c = run.ranks.at(0).counts;
    return std::array{c.micro_batches, c.decode_micro_batches, c.decode_sequences};
  };
  // One micro-batch reads all prompts; ten decode six sequences each.
  EXPECT_THAT(counts(8), testing::ElementsAre(11, 10, 60));
  // One reads four prompts; the other two ride with answers. 66 places, four at a time.
  EXPECT_THAT(counts(4), testing::ElementsAre(17, 16, 62));
}

TEST(Pipeline, SumsAreWholeOnEveryStage) {
  const TinyCases tiny_cases("llama-rope3-tied-bf16");
  const PipelineRun run = answer_all(tiny_cases.model, {.stages = 3}, tiny_cases.prompts(true));
  std::int64_t decode_tokens = 0;
  for (const auto& [rank, figures] : run.ranks) {
    double sum = 0;
    for (const auto& [category, seconds] : figures.seconds) sum += seconds;
    EXPECT_NEAR(sum, figures.wall_s, 0.01 * figures.wall_s) << "rank " << rank;
    EXPECT_LT(std::abs(figures.seconds.at(pipeline::Category::unattributed)),
              0.01 * figures.wall_s);
    if (rank > 0) {
      EXPECT_EQ(figures.counts.decode_tokens, decode_tokens);
    }
    decode_tokens = figures.counts.decode_tokens;
  }
  // The first token of each answer comes from its prompt.
  EXPECT_EQ(decode_tokens,
            run.report.output_tokens - static_cast<std::int64_t>(tiny_cases.cases.size()));
}

}  // namespace
}  // namespace sluice::worker
