// Oracle: Hugging Face folders and GGUF metadata written by hand; where transformers looks for a
// chat template, which of several it takes, and what it gives it as special tokens.
#include "worker/text/model_chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/jobs/temp_dir.h"
#include "worker/error.h"
#include "worker/model/gguf.h"
#include "worker/model/model.h"

namespace sluice::worker::text {
namespace {

using testing::HasSubstr;

const Conversation kPlain{.messages = R"([{"role": "user", "content": "Hi"}])"};
const Conversation kWithTools{.messages = kPlain.messages, .tools = "[]"};

class Folder {
 public:
  Folder& write(const std::string& name, const std::string& text) {
    dir_.write(name, text);
    return *this;
  }
  ModelChat chat() const { return ModelChat::from_folder(dir_.path()); }
  std::string render(const Conversation& conversation = kPlain) const {
    return chat().render(conversation);
  }
  std::string problem() const {
    const ModelChat chat = this->chat();
    EXPECT_THAT([&] { chat.render(kPlain); },
                testing::ThrowsMessage<Error>(chat.problem().value_or("none")));
    return chat.problem().value_or("none");
  }
  std::filesystem::path operator/(const char* name) const { return dir_ / name; }

 private:
  tests::TempDir dir_;
};

TEST(ModelChat, PrefersTheFileOfItsOwn) {
  Folder folder;
  folder.write("chat_template.json", R"({"chat_template": "json"})");
  EXPECT_EQ(folder.render(), "json");
  folder.write("tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(folder.render(), "config");
  folder.write("chat_template.jinja", "jinja {{ messages[0].content }}\n");
  EXPECT_EQ(folder.render(), "jinja Hi");
  EXPECT_EQ(folder.chat().problem(), std::nullopt);
}

TEST(ModelChat, TakesTheNamedTemplateForTools) {
  Folder folder;
  folder.write("tokenizer_config.json", R"({"chat_template": [
    {"name": "default", "template": "plain"}, {"name": "rag", "template": "{{ broken"},
    {"name": "tool_use", "template": "tools"}]})");
  EXPECT_EQ(folder.render(), "plain");
  EXPECT_EQ(folder.render(kWithTools), "tools");
  folder.write("tokenizer_config.json", R"({"chat_template": "{{ tools is none }}"})");
  EXPECT_EQ(folder.render(), "True");
  EXPECT_EQ(folder.render(kWithTools), "False");
}

TEST(ModelChat, GivesTheTokensOfTheFolder) {
  Folder folder;
  folder.write("chat_template.jinja",
               "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token }}|"
               "{{ x }}");
  EXPECT_EQ(folder.render(), "||||");
  folder.write("tokenizer_config.json",
               R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": null})");
  folder.write("special_tokens_map.json", R"({"bos_token": "no", "unk_token": "<unk>"})");
  EXPECT_EQ(folder.render(), "<s>|</s>|<unk>||");
  EXPECT_EQ(
      folder.render({.messages = kPlain.messages, .variables = R"({"x": 1, "bos_token": "!"})"}),
      "!|</s>|<unk>||1");
}

TEST(ModelChat, KeepsItsProblemUntilAChatIsRendered) {
  EXPECT_THAT(Folder().problem(),
              HasSubstr(" has no chat template; give one with --chat-template FILE"));
  EXPECT_THAT(Folder().write("chat_template.jinja", "\n{{ x | xmlattr }}").problem(),
              HasSubstr("chat_template.jinja, line 2: the filter \"xmlattr\" is not supported"));
  EXPECT_THAT(Folder().write("tokenizer_config.json", "{").problem(),
              HasSubstr("tokenizer_config.json: is not valid JSON"));
  EXPECT_THAT(Folder().write("tokenizer_config.json", R"({"chat_template": 5})").problem(),
              HasSubstr("key 'chat_template' is no string"));
  EXPECT_THAT(Folder().write("chat_template.jinja", std::string(2 << 20, 'x')).problem(),
              HasSubstr("chat_template.jinja"));
}

TEST(ModelChat, TakesATemplateFromAFileInstead) {
  Folder folder;
  folder.write("tokenizer_config.json", R"({"bos_token": "<s>"})");
  folder.write("mine.jinja", "{{ bos_token }}mine");
  EXPECT_EQ(folder.chat().with_template(folder / "mine.jinja").render(kWithTools), "<s>mine");
  folder.write("mine.jinja", "{{");
  EXPECT_THAT([&] { folder.chat().with_template(folder / "mine.jinja"); },
              testing::ThrowsMessage<Error>(HasSubstr("mine.jinja, line 1: a tag has no end")));
  EXPECT_THROW(folder.chat().with_template(folder / "none.jinja"), Error);
}

TEST(ModelChat, ReadsGgufMetadata) {
  const std::filesystem::path tiny = std::filesystem::path(SLUICE_TEST_DATA) / "tiny";
  for (const char* name : {"smollm-tied-f16", "qwen3-f16", "llama-rope3-tied-bf16"}) {
    const auto of_file = ModelChat::from_gguf(model::Gguf::open(tiny / name / "model.gguf"));
    const auto of_folder = ModelChat::from_folder(tiny / name);
    EXPECT_EQ(of_file.problem(), std::nullopt);
    EXPECT_EQ(of_file.render(kPlain), of_folder.render(kPlain));
    EXPECT_EQ(of_file.special_tokens().at("eos_token"), of_folder.special_tokens().at("eos_token"));
  }
}

TEST(ModelChat, BelongsToAnOpenedModel) {
  const std::filesystem::path tiny = std::filesystem::path(SLUICE_TEST_DATA) / "tiny" / "qwen3-f16";
  const std::string expected = ModelChat::from_folder(tiny).render(kPlain);
  EXPECT_EQ(model::Model::open(tiny).chat().render(kPlain), expected);
  EXPECT_EQ(model::Model::open(tiny / "model.gguf").chat().render(kPlain), expected);
}

}  // namespace
}  // namespace sluice::worker::text
