// Oracle: the chats of tests/data/tiny, rendered, tokenised and answered by Hugging Face
// transformers; templates of one line, by hand. That all layouts answer them alike is
// families_test's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <variant>

#include "tests/jobs/temp_dir.h"
#include "tests/worker/pipelines.h"
#include "worker/error.h"
#include "worker/intake.h"
#include "worker/make_plan.h"

namespace sluice::worker {
namespace {

using testing::HasSubstr;

using Ids = std::vector<std::int32_t>;

model::Model smollm() {
  return model::Model::open(std::filesystem::path(SLUICE_TEST_DATA) /
                            "tiny/smollm-tied-f16/model.gguf");
}

// Renders chats with this.
model::Model smollm_with(std::string_view chat_template) {
  const tests::TempDir dir;
  auto model = smollm();
  model.use_chat_template(dir.write("chat.jinja", chat_template));
  return model;
}

jobs::Prompt chat_of(const std::string& messages) {
  jobs::Prompt prompt;
  prompt.chat = jobs::Chat{.messages = messages};
  return prompt;
}

Ids ids_of(const jobs::Prompt& prompt, const model::Model& model, const IntakeRules& rules = {}) {
  const auto tokens = tokens_of(prompt, model, rules);
  if (const auto* error = std::get_if<jobs::ItemError>(&tokens)) {
    ADD_FAILURE() << error->code << ": " << error->message;
    return {};
  }
  return std::get<Ids>(tokens);
}

Ids plain_ids(const model::Model& model, const std::string& text) {
  return model.tokenizer().encode(text, {.add_bos = false, .parse_special = true});
}

class EveryChat : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(EveryChat, IsWhatTransformersMakesOfIt) {
  const auto model = model::Model::open(GetParam());
  int chats = 0;
  for (const ReferenceCase& one : read_cases(folder_of(GetParam()) / "cases.jsonl")) {
    if (one.messages.empty()) continue;
    ++chats;
    EXPECT_EQ(render({.messages = one.messages}, model.chat(), 0), one.rendered) << one.id;
    EXPECT_EQ(ids_of(chat_of(one.messages), model), one.prompt)
        << one.id << ": BOS once, if at all";

    const auto turns = nlohmann::json::parse(one.messages);
    if (turns.size() != 1 || turns[0]["role"] != "user") continue;
    jobs::Prompt question;
    question.text = turns[0]["content"];
    EXPECT_EQ(ids_of(question, model, {.chat = true}), one.prompt) << one.id;
    EXPECT_NE(ids_of(question, model), one.prompt) << one.id;
  }
  EXPECT_GE(chats, 2);
}

INSTANTIATE_TEST_SUITE_P(Tiny, EveryChat, testing::ValuesIn(tiny_models()),
                         [](const auto& test) { return tiny_model_name(test.param); });

TEST(Chats, TakeToolsDocumentsAndVariablesAlong) {
  const auto model = smollm_with(
      "{{ tools | length }}{{ documents[0] }}{{ thinking }}{{ messages[0]['x'] | tojson }}"
      "{{ add_generation_prompt }}");
  const jobs::Chat chat{.messages = R"([{"role": "user", "x": {"b": 1.0, "a": 1e2}}])",
                        .tools = "[1, 2]",
                        .documents = R"(["d"])",
                        .variables = R"({"thinking": "no"})"};
  EXPECT_EQ(render(chat, model.chat(), 0), R"(2dno{"b": 1.0, "a": 100.0}True)");
}

TEST(Chats, TellTheTimeOfSubmissionInUtc) {
  const auto model = smollm_with("{{ strftime_now('%Y-%m-%d %H:%M:%S') }}");
  jobs::JobSpec spec;
  spec.submitted_unix_s = 1772719629;
  EXPECT_EQ(ids_of(chat_of(R"([{"role": "user"}])"), model, intake_rules(spec)),
            plain_ids(model, "2026-03-05 14:07:09"));
}

TEST(Chats, ThatATemplateRefusesFailAloneAndSayWhy) {
  const auto model = smollm_with(
      "{% if not messages[0]['content'] %}{{ raise_exception('say something') }}"
      "{% endif %}{{ messages[0]['content'] }}");
  std::vector<jobs::Prompt> prompts;
  for (const char* content : {"Hello", "", "there"}) {
    prompts.push_back(chat_of(jobs::user_turn(content).messages));
    prompts.back().index = static_cast<std::int64_t>(prompts.size()) - 1;
    prompts.back().max_tokens = 3;
  }
  const PipelineRun run = answer_all(model, {.stages = 2}, prompts);
  EXPECT_EQ(run.report.prompts_ok, 2);
  ASSERT_TRUE(run.results.at(1).error);
  EXPECT_EQ(run.results.at(1).error->code, "bad_chat");
  EXPECT_THAT(run.results.at(1).error->message,
              HasSubstr("line 1: the template refuses the conversation: say something"));
}

TEST(Chats, WithoutATemplateAreErrorsOfTheirOwn) {
  auto model = smollm();
  const tests::TempDir dir;
  EXPECT_THROW(model.use_chat_template(dir.write("bad.jinja", "{{")), Error);
  EXPECT_THROW(model.use_chat_template(dir.write("long.jinja", std::string(10 << 20, 'x'))), Error);
  const auto tokens = tokens_of(chat_of("no JSON"), model, {});
  ASSERT_TRUE(std::holds_alternative<jobs::ItemError>(tokens));
  EXPECT_EQ(std::get<jobs::ItemError>(tokens).code, "bad_chat");
}

TEST(Chats, AreSampledAsTheModelWillSeeThem) {
  const auto model = smollm_with("{{ messages[0]['content'] * 7 }}");
  jobs::Prompt chat = chat_of(jobs::user_turn("word ").messages), text;
  chat.id = "a";
  text.id = "b";
  text.text = "word";
  const tests::TempDir dir;
  const auto path = dir.write("prompts.jsonl", to_line(chat) + "\n" + to_line(text) + "\n");
  const auto seven =
      static_cast<double>(plain_ids(model, "word word word word word word word ").size());
  const auto one = static_cast<double>(ids_of(text, model).size());
  EXPECT_EQ(sample_mix(path, model, {}).prompt_tokens, (seven + one) / 2);
}

}  // namespace
}  // namespace sluice::worker
