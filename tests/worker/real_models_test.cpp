// Oracle: greedy ids and log-likelihoods of two real models, computed with transformers in fp32
// from the dequantised weights (tests/data/<model>). Minutes: scripts/check-full.sh models.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/jobs/temp_dir.h"
#include "tests/worker/pipelines.h"
#include "worker/score.h"

namespace sluice::worker {
namespace {

struct RealModel {
  const char* name;
  const char* path_variable;
};

class RealModels : public testing::TestWithParam<RealModel> {
 protected:
  void SetUp() override {
    const char* path = std::getenv(GetParam().path_variable);
    if (!path) GTEST_SKIP() << GetParam().path_variable << " is not set";
    path_ = path;
  }
  std::filesystem::path data() const {
    return std::filesystem::path(SLUICE_TEST_DATA) / GetParam().name;
  }
  std::filesystem::path path_;
};

TEST_P(RealModels, GreedyAnswersEqualTheReference) {
  const auto model = model::Model::open(path_);
  const auto cases = read_cases(data() / "greedy.jsonl");
  std::vector<jobs::Prompt> prompts;
  for (const ReferenceCase& one : cases) {
    prompts.push_back(prompt_of(one, static_cast<std::int64_t>(prompts.size())));
  }
  const PipelineRun run = answer_all(model, {.stages = 2, .kv_tokens = 1024}, prompts);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const jobs::Result& result = run.results.at(static_cast<std::int64_t>(i));
    EXPECT_EQ(result.token_ids, cases[i].output) << cases[i].id;
    EXPECT_EQ(to_string(result.finish_reason), cases[i].finish_reason) << cases[i].id;
  }
  std::cout << cases.size() << " cases" << std::endl;
}

// The sum over windows of 512 tokens, each scored alone. `bos`: put before each.
double log_likelihood(const std::filesystem::path& model, const nlohmann::json& scoring,
                      const nlohmann::json& windows, const std::vector<int>& bos) {
  const tests::TempDir folder;
  std::string lines;
  for (const auto& window : windows) {
    std::vector<int> ids = bos;
    const auto first = scoring["token_ids"].begin() + window["start"].get<int>();
    for (auto id = first; id != first + 512; ++id) ids.push_back(id->get<int>());
    lines += nlohmann::json{{"token_ids", ids}}.dump() + "\n";
  }
  ScoreOptions options;
  options.model = model;
  options.file = folder.write("windows.jsonl", lines);
  std::stringstream out;
  EXPECT_EQ(score(options, out), 0);
  double sum = 0;
  for (std::string line; std::getline(out, line);) {
    sum += nlohmann::json::parse(line)["logprob_sum"].get<double>();
  }
  return sum;
}

TEST_P(RealModels, LogLikelihoodsAreTheReferences) {
  std::ifstream file(data() / "scoring.json");
  const auto scoring = nlohmann::json::parse(file);
  for (const char* kind : {"no_bos", "bos"}) {
    if (!scoring.contains(kind)) continue;
    const std::vector<int> bos = std::string(kind) == "bos" ? std::vector{2} : std::vector<int>{};
    const double sum = log_likelihood(path_, scoring, scoring[kind]["windows"], bos);
    const double expected = scoring[kind]["logprob_sum"];
    EXPECT_NEAR(sum, expected, 0.05) << kind;
    std::cout << kind << ": " << sum << ", the reference " << expected << std::endl;
  }
}

INSTANTIATE_TEST_SUITE_P(All, RealModels,
                         testing::Values(RealModel{"smollm2-135m-instruct", "SLUICE_TEST_MODEL"},
                                         RealModel{"gemma-3-270m", "SLUICE_TEST_GEMMA3"}),
                         [](const auto& test) {
                           return std::string(test.param.name).substr(0, 5) == "gemma" ? "Gemma3"
                                                                                       : "SmolLM2";
                         });

}  // namespace
}  // namespace sluice::worker
