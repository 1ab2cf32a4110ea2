// Oracle: greedy ids and log-probabilities of the prompts of one tiny model of each family,
// computed with Hugging Face transformers in fp32 (tests/data/tiny). Where the reference's two best
// logits are closer than kMargin the order of sums may decide; what comes after is not compared.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/jobs/temp_dir.h"
#include "tests/worker/pipelines.h"
#include "worker/score.h"

namespace sluice::worker {
namespace {

constexpr double kMargin = 1e-3;
constexpr double kLogProbTolerance = 1e-3;
constexpr int kTokens = 12;  // of each answer in all layouts but the first

// Prefills of one token and of whole prompts; rings of the windowed families (16 and 24 positions)
// that a prompt of 100 goes round several times, and such that hold it whole.
constexpr PipelineShape kLayouts[] = {{.stages = 1, .batch_size = 8, .token_budget = 3},
                                      {.stages = 1, .batch_size = 1, .token_budget = 16},
                                      {.stages = 2, .batch_size = 4, .token_budget = 16},
                                      {.stages = 2, .batch_size = 1, .token_budget = 128},
                                      {.stages = 3, .batch_size = 8, .token_budget = 128},
                                      {.stages = 3, .batch_size = 4, .token_budget = 7}};

std::vector<std::vector<std::int32_t>> answers(const model::Model& model,
                                               const PipelineShape& shape,
                                               const std::vector<ReferenceCase>& cases,
                                               int max_tokens) {
  std::vector<jobs::Prompt> prompts;
  for (const ReferenceCase& one : cases) {
    prompts.push_back(prompt_of(one, static_cast<std::int64_t>(prompts.size())));
    prompts.back().max_tokens = max_tokens;
  }
  std::vector<std::vector<std::int32_t>> ids;
  for (const auto& [index, result] : answer_all(model, shape, prompts).results) {
    EXPECT_FALSE(result.error) << result.error->message;
    ids.push_back(result.token_ids);
  }
  EXPECT_EQ(ids.size(), cases.size());
  return ids;
}

class EveryFamily : public testing::TestWithParam<std::filesystem::path> {
 protected:
  const std::vector<ReferenceCase> cases_ = read_cases(folder_of(GetParam()) / "cases.jsonl");
};

TEST_P(EveryFamily, TokensEqualTheReferenceAndDoNotDependOnTheLayout) {
  const auto model = model::Model::open(GetParam());
  auto whole = answers(model, {.stages = 1, .batch_size = 4, .token_budget = 128}, cases_,
                       cases_.front().max_tokens);
  std::size_t compared = 0, in_all = 0;
  for (std::size_t i = 0; i < cases_.size(); ++i) {
    const auto& margins = cases_[i].margins;
    const auto sure = std::ranges::find_if(margins, [](double m) { return m < kMargin; });
    const auto n = static_cast<std::size_t>(sure - margins.begin());
    compared += n;
    in_all += margins.size();
    const auto first_n = [&](std::vector<std::int32_t> ids) {
      if (n < margins.size()) ids.resize(std::min(ids.size(), n));
      return ids;
    };
    EXPECT_EQ(first_n(whole[i]), first_n(cases_[i].output)) << cases_[i].id;
    whole[i].resize(std::min<std::size_t>(whole[i].size(), kTokens));
  }
  std::cout << compared << " of " << in_all << " tokens compared" << std::endl;

  for (const PipelineShape& shape : kLayouts) {
    EXPECT_EQ(answers(model, shape, cases_, kTokens), whole)
        << shape.stages << " stages, batches of " << shape.batch_size << ", budget "
        << shape.token_budget;
  }
}

TEST_P(EveryFamily, PromptLogProbabilitiesEqualTheReference) {
  const tests::TempDir folder;
  std::string lines;
  for (const ReferenceCase& one : cases_) {
    lines += nlohmann::json{{"id", one.id}, {"token_ids", one.prompt}}.dump() + "\n";
  }
  ScoreOptions options;
  options.model = GetParam();
  options.file = folder.write("prompts.jsonl", lines);
  options.token_budget = 48;
  options.precision = "exact";
  std::stringstream out;
  ASSERT_EQ(score(options, out), 0);
  double worst = 0;
  for (const ReferenceCase& one : cases_) {
    std::string line;
    std::getline(out, line);
    const auto scored = nlohmann::json::parse(line);
    EXPECT_EQ(scored["id"], one.id);
    const auto logprobs = scored["logprobs"].get<std::vector<double>>();
    ASSERT_EQ(logprobs.size(), one.prompt_logprobs.size()) << one.id;
    for (std::size_t i = 0; i < logprobs.size(); ++i) {
      worst = std::max(worst, std::abs(logprobs[i] - one.prompt_logprobs[i]));
    }
  }
  EXPECT_LT(worst, kLogProbTolerance);
  std::cout << "largest difference of a log-probability: " << worst << std::endl;
}

INSTANTIATE_TEST_SUITE_P(Tiny, EveryFamily, testing::ValuesIn(tiny_models()),
                         [](const auto& test) { return tiny_model_name(test.param); });

}  // namespace
}  // namespace sluice::worker
