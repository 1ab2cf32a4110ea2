// Oracle: greedy ids of the prompts of one tiny model of each family, computed with Hugging Face
// transformers in fp32 (tests/data/tiny), and answers of one layout held against those of another.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <vector>

#include "tests/cuda/under_test.h"
#include "tests/worker/pipelines.h"

namespace sluice::worker {
namespace {

constexpr double kMargin = 1e-3;  // of logits: below it the order of sums may decide
constexpr std::size_t kCases = 5;
constexpr int kTokens = 3;  // of an answer in each layout

using Answers = std::vector<std::vector<std::int32_t>>;

Answers answers(const model::Model& model, const PipelineShape& shape,
                const std::vector<ReferenceCase>& cases, int max_tokens) {
  std::vector<jobs::Prompt> prompts;
  for (const ReferenceCase& one : cases) {
    prompts.push_back(prompt_of(one, static_cast<std::int64_t>(prompts.size())));
    prompts.back().max_tokens = std::min(one.max_tokens, max_tokens);
  }
  const PipelineHooks on_gpus{
      .make_backend = [&](int) { return kernels::make_cuda_under_test(shape.precision); }};
  Answers ids;
  for (const auto& [index, result] : answer_all(model, shape, prompts, on_gpus).results) {
    EXPECT_FALSE(result.error) << result.error->message;
    ids.push_back(result.token_ids);
  }
  return ids;
}

class CudaModels : public testing::TestWithParam<std::filesystem::path> {
 protected:
  const std::vector<ReferenceCase> cases_ =
      shortest(read_cases(folder_of(GetParam()) / "cases.jsonl"), kCases);
};

TEST_P(CudaModels, TokensEqualTheReference) {
  const auto model = model::Model::open(GetParam());
  const Answers have = answers(model, {.stages = 2, .batch_size = 4}, cases_, 6);
  ASSERT_EQ(have.size(), cases_.size());
  for (std::size_t i = 0; i < cases_.size(); ++i) {
    const auto& margins = cases_[i].margins;
    const auto sure = std::ranges::find_if(margins, [](double m) { return m < kMargin; });
    const auto n = std::min({static_cast<std::size_t>(sure - margins.begin()), have[i].size(),
                             cases_[i].output.size()});
    EXPECT_TRUE(std::equal(have[i].begin(), have[i].begin() + static_cast<std::ptrdiff_t>(n),
                           cases_[i].output.begin()))
        << cases_[i].id;
  }
}

struct Layout {
  kernels::Precision precision;
  int stages, batch_size;
  kernels::KvType kv_type = kernels::kv_type_of(precision);
};
const Layout kLayouts[] = {
    {kernels::Precision::fast, 2, 2},  {kernels::Precision::fast, 3, 3},
    {kernels::Precision::fast, 1, 4},  {kernels::Precision::fast, 2, 5},
    {kernels::Precision::fast, 3, 6},  {kernels::Precision::fast, 1, 7},
    {kernels::Precision::fast, 2, 8},  {kernels::Precision::high, 3, 3},
    {kernels::Precision::exact, 2, 4}, {kernels::Precision::fast, 2, 3, kernels::KvType::q8},
};

class CudaLayouts : public CudaModels {};

// Emulated: in orders of threads that change.
TEST_P(CudaLayouts, TokensDoNotDependOnIt) {
  const auto model = model::Model::open(GetParam());
  std::map<std::pair<kernels::Precision, kernels::KvType>, Answers> plainest;
  for (const auto& [precision, stages, batch_size, kv_type] : kLayouts) {
    const auto answer = [&](int of_stages, int of_batch, int token_budget) {
      return answers(model,
                     {.stages = of_stages,
                      .batch_size = of_batch,
                      .token_budget = token_budget,
                      .precision = precision,
                      .kv_type = kv_type},
                     cases_, kTokens);
    };
    kernels::change_order(batch_size);
    const auto [want, is_new] = plainest.try_emplace({precision, kv_type});
    if (is_new) want->second = answer(1, 1, 128);
    EXPECT_EQ(answer(stages, batch_size, 3 * batch_size), want->second)
        << to_string(precision) << ", " << stages << " stages, batches of " << batch_size;
  }
}

std::string model_name(const testing::TestParamInfo<std::filesystem::path>& test) {
  return tiny_model_name(test.param);
}
INSTANTIATE_TEST_SUITE_P(Tiny, CudaModels, testing::ValuesIn(tiny_models()), model_name);

// Of what families add one each; with SLUICE_LAYOUTS all, which takes minutes where it is emulated.
std::vector<std::filesystem::path> models_of_layouts() {
  auto models = tiny_models();
  if (std::getenv("SLUICE_LAYOUTS") != nullptr) return models;
  std::erase_if(models, [](const std::filesystem::path& model) {
    const std::string name = tiny_model_name(model);
    return name != "gemma2_bf16" && name != "gemma3_f32" && name != "llama_untied_f32" &&
           name != "qwen2_tied_sharded_bf16";
  });
  return models;
}
INSTANTIATE_TEST_SUITE_P(Tiny, CudaLayouts, testing::ValuesIn(models_of_layouts()), model_name);

}  // namespace
}  // namespace sluice::worker
