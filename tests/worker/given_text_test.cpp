// Oracle: how lm-evaluation-harness makes tokens of a context and its continuation, by hand from
// the tokenizer's own encode; and the log-probabilities that transformers gave the tiny models'
// cases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <variant>

#include "tests/worker/pipelines.h"
#include "worker/intake.h"

namespace sluice::worker {
namespace {

using Ids = std::vector<std::int32_t>;

model::Model tiny(const std::string& name) {
  return model::Model::open(std::filesystem::path(SLUICE_TEST_DATA) / "tiny" / name);
}

jobs::Prompt pair_of(const std::string& context, const std::string& continuation) {
  jobs::Prompt prompt;
  prompt.text = context;
  prompt.continuation = continuation;
  return prompt;
}

GivenText text_of(const jobs::Prompt& prompt, const model::Model& model) {
  auto given = given_text(prompt, model, {.score = true});
  if (const auto* error = std::get_if<jobs::ItemError>(&given)) {
    ADD_FAILURE() << error->code << ": " << error->message;
    return {};
  }
  return std::get<GivenText>(std::move(given));
}

std::string problem_of(const jobs::Prompt& prompt, const model::Model& model) {
  const auto given = given_text(prompt, model, {.score = true});
  const auto* error = std::get_if<jobs::ItemError>(&given);
  return error ? error->code : "";
}

Ids encode(const model::Model& model, const std::string& text, bool add_bos = true) {
  return model.tokenizer().encode(text, {.add_bos = add_bos, .parse_special = true});
}

TEST(GivenText, IsTokenisedWholeAndTheContextsTokensAreNotScored) {
  for (const char* name : {"smollm-tied-f16", "gemma3-f32"}) {
    const auto model = tiny(name);
    const GivenText given = text_of(pair_of("The capital of France", " is Paris."), model);
    EXPECT_EQ(given.tokens, encode(model, "The capital of France is Paris."));
    EXPECT_EQ(given.first, static_cast<int>(encode(model, "The capital of France").size()));
  }
}

TEST(GivenText, SpaceAtTheEndOfTheContextGoesWithTheContinuation) {
  const auto model = tiny("smollm-tied-f16");
  const GivenText given = text_of(pair_of("The capital of France \n", "is Paris."), model);
  EXPECT_EQ(given.tokens, encode(model, "The capital of France \nis Paris."));
  EXPECT_EQ(given.first, static_cast<int>(encode(model, "The capital of France").size()));
}

TEST(GivenText, WithoutAContextFollowsTheTokenThatTextsFollow) {
  const auto with_bos = tiny("gemma3-f32");
  ASSERT_TRUE(with_bos.tokenizer().adds_bos());
  const GivenText own = text_of(pair_of("", "Paris"), with_bos);
  EXPECT_EQ(own.tokens, encode(with_bos, "Paris"));
  EXPECT_EQ(own.first, 1);
  const auto without = tiny("smollm-tied-f16");
  ASSERT_FALSE(without.tokenizer().bos());
  const GivenText given = text_of(pair_of(" ", "Paris"), without);
  Ids expected = encode(without, " Paris");
  expected.insert(expected.begin(), without.tokenizer().stop_tokens().at(0).id);
  EXPECT_EQ(given.tokens, expected);
  EXPECT_EQ(given.first, 1);
}

TEST(GivenText, OfAChatIsTheAnswerScored) {
  const auto model = tiny("smollm-tied-f16");
  jobs::Prompt prompt;
  prompt.chat = jobs::user_turn("Where is Paris?");
  prompt.continuation = "In France.";
  const std::string context = render(*prompt.chat, model.chat(), 0);
  const GivenText given = text_of(prompt, model);
  EXPECT_EQ(given.tokens, encode(model, context + "In France.", /*add_bos=*/false));
  EXPECT_LT(given.first, static_cast<int>(given.tokens.size()));
  EXPECT_GT(given.first, 5);
}

TEST(GivenText, OfWhichNothingIsLeftToBeScoredIsAnError) {
  const auto model = tiny("smollm-tied-f16");
  EXPECT_EQ(problem_of(pair_of("some context", ""), model), "nothing_to_score");
  jobs::Prompt one;
  one.token_ids = {5};
  EXPECT_EQ(problem_of(one, model), "nothing_to_score");
  one.token_ids = {5, 6};
  EXPECT_EQ(problem_of(one, model), "");
  one.context_tokens = 2;
  EXPECT_EQ(problem_of(one, model), "nothing_to_score");
  one.token_ids = {5, 1 << 30};
  EXPECT_EQ(problem_of(one, model), "bad_token_id");
}

class ScoredByJobs : public testing::TestWithParam<std::filesystem::path> {};

// In several layouts at once with others; the reference is fp32, the models' weights are exact.
TEST_P(ScoredByJobs, AreAsLikelyAsTransformersSays) {
  const auto model = model::Model::open(GetParam());
  const auto cases = read_cases(folder_of(GetParam()) / "cases.jsonl");
  std::vector<jobs::Prompt> prompts;
  for (const ReferenceCase& one : cases) {
    jobs::Prompt& prompt = prompts.emplace_back();
    prompt.index = static_cast<std::int64_t>(prompts.size()) - 1;
    prompt.id = one.id;
    prompt.token_ids = one.prompt;
    prompt.sampling.logprobs = 0;
  }
  for (const auto& shape :
       {PipelineShape{.score_positions = 512}, PipelineShape{.stages = 2,
                                               .token_budget = 16,
                                               .head_split = pipeline::HeadSplit::always,
                                               .prefix_sharing = true,
                                               .score_positions = 512}}) {
    const PipelineRun run = answer_all(model, shape, prompts);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const auto& want = cases[i].prompt_logprobs;
      const jobs::Result& result = run.results.at(static_cast<std::int64_t>(i));
      if (want.empty()) {  // of a single token there is nothing to say
        EXPECT_TRUE(result.error || cases[i].prompt.size() > 1) << cases[i].id;
        continue;
      }
      ASSERT_TRUE(result.score) << cases[i].id;
      ASSERT_EQ(result.logprobs.size(), want.size()) << cases[i].id;
      for (std::size_t t = 0; t < want.size(); ++t) {
        EXPECT_NEAR(result.logprobs[t].chosen.logprob, want[t], 1e-3) << cases[i].id << ", " << t;
        EXPECT_EQ(result.logprobs[t].chosen.id, cases[i].prompt[t + 1]);
      }
      double sum = 0;
      for (const auto& token : result.logprobs) sum += token.chosen.logprob;
      EXPECT_NEAR(result.score->logprob_sum, sum, 1e-9);
      EXPECT_EQ(result.score->tokens, static_cast<int>(want.size()));
      EXPECT_TRUE(result.text.empty() && result.token_ids.empty());
      EXPECT_EQ(result.prompt_tokens, static_cast<int>(cases[i].prompt.size()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, ScoredByJobs, testing::ValuesIn(tiny_models()),
                         [](const auto& test) { return tiny_model_name(test.param); });

}  // namespace
}  // namespace sluice::worker
