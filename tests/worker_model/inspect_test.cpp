// Oracle: the tiny models' known shapes and tests/data/tiny/*/info.json; what `sluice submit` reads
// of `check` is a contract, so its keys are spelled out here.
#include "worker/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/jobs/temp_dir.h"
#include "tests/worker_model/memory_file.h"
#include "tests/worker_model/tiny_model.h"
#include "worker/error.h"
#include "worker/tokenize.h"

namespace sluice::worker {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kModel = std::string(SLUICE_TEST_DATA) + "/tiny/llama-rope3-tied-bf16/model.gguf";

TEST(Check, SaysWhatSubmitMustKnow) {
  std::ostringstream out;
  EXPECT_EQ(check({.model = kModel, .format = "json"}, out), 0);
  const json answer = json::parse(out.str());
  EXPECT_EQ(answer["ok"], true);
  EXPECT_EQ(answer["architecture"], "llama");
  EXPECT_EQ(answer["name"], "Llama Rope3 Tied Bf16");
  EXPECT_EQ(answer["layers"], 5);
  EXPECT_EQ(answer["hidden"], 128);
  EXPECT_EQ(answer["vocab"], 1024);
  EXPECT_EQ(answer["context"], 2048);
  EXPECT_EQ(answer["parameters"], 992640 + 16) << "info.json's, and the rope factors";
  EXPECT_EQ(answer["weight_types"].size(), 2u);
  EXPECT_EQ(answer["weight_types"]["BF16"].get<int>() + answer["weight_types"]["F32"].get<int>(),
            answer["weight_bytes"].get<int>());
  EXPECT_EQ(answer["file_bytes"], std::filesystem::file_size(kModel));
  EXPECT_THAT(answer["fingerprint"].get<std::string>(), testing::MatchesRegex("[0-9a-f]{16}"));
  EXPECT_TRUE(answer["chat_problem"].is_null()) << answer["chat_problem"];
}

TEST(Check, SaysWhyChatsCannotBeRendered) {
  const auto problem = [](const std::filesystem::path& model, const std::filesystem::path& with) {
    std::ostringstream out;
    EXPECT_EQ(check({.model = model, .format = "json", .chat_template = with}, out), 0);
    const json why = json::parse(out.str())["chat_problem"];
    return why.is_null() ? std::string() : why.get<std::string>();
  };
  const tests::TempDir dir;
  const auto mute = dir / "model";
  std::filesystem::copy(std::filesystem::path(kModel).parent_path(), mute);
  std::filesystem::remove(mute / "chat_template.jinja");
  std::filesystem::remove(mute / "tokenizer_config.json");
  EXPECT_THAT(problem(mute, {}), HasSubstr("has no chat template; give one with"));
  const tests::MemoryFile good("{{ messages }}"), bad("\n{% include 'x' %}");
  EXPECT_EQ(problem(mute, good.path()), "");
  EXPECT_EQ(problem(kModel, good.path()), "");
  EXPECT_THAT(problem(kModel, bad.path()), HasSubstr("line 2: "));
  EXPECT_THAT(problem(kModel, "/nowhere.jinja"), HasSubstr("/nowhere.jinja"));
  std::ostringstream table;
  EXPECT_EQ(check({.model = mute}, table), 0);
  EXPECT_THAT(table.str(), HasSubstr("\nno chats: "));
}

TEST(Check, SaysWhyNot) {
  const tests::MemoryFile memory(tests::TinyLlama{.architecture = "mamba"}.file());
  std::ostringstream out;
  EXPECT_EQ(check({.model = memory.path(), .format = "json"}, out), 2);
  const json answer = json::parse(out.str());
  EXPECT_EQ(answer["ok"], false);
  EXPECT_THAT(answer["error"].get<std::string>(), HasSubstr("architecture 'mamba'"));
  EXPECT_THROW(check({.model = memory.path()}, out), Error);
  EXPECT_THROW(check({.model = "/nowhere.gguf"}, out), Error);
}

TEST(Inspect, JsonHoldsPartsThatAddUp) {
  std::ostringstream out;
  EXPECT_EQ(inspect({.model = kModel, .format = "json"}, out), 0);
  const json answer = json::parse(out.str());
  std::uint64_t layers = 0;
  for (const auto& bytes : answer["layer_bytes"]) layers += bytes.get<std::uint64_t>();
  EXPECT_EQ(layers + answer["head_bytes"].get<std::uint64_t>() + 16 * sizeof(float),
            answer["weight_bytes"].get<std::uint64_t>())
      << "the head is the embedding; the rope factors stand beside";
  EXPECT_EQ(answer["layer_cost"].size(), 5u);
  EXPECT_EQ(answer["kv_bytes_per_token"], 5 * 2 * 2 * 32 * sizeof(std::uint16_t));
  std::vector<int> stops;
  for (const auto& stop : answer["stop_tokens"]) stops.push_back(stop["id"]);
  EXPECT_THAT(stops, testing::ElementsAre(1018, 1020));
}

TEST(Inspect, TableNamesTheParts) {
  std::ostringstream out;
  EXPECT_EQ(inspect({.model = kModel}, out), 0);
  for (const char* part : {"'Llama Rope3 Tied Bf16', llama", "5 layers", "BF16", "llama-bpe",
                           "'<|im_end|>'", "tokenizer.ggml.eos_token_id", "multiply-adds"}) {
    EXPECT_THAT(out.str(), HasSubstr(part));
  }
}

TEST(Tokenize, AnswersEachTextOnALineOfItsOwn) {
  std::ostringstream out;
  EXPECT_EQ(tokenize({.model = kModel, .text = "Hello world"}, out), 0);
  EXPECT_EQ(out.str(), "{\"id\":\"1\",\"ids\":[39,916,314,297,268,75,67]}\n");

  const tests::MemoryFile lines("{\"id\":\"a\",\"text\":\" \"}\n{\"text\":\"<|im_end|>\"}\n");
  out.str("");
  EXPECT_EQ(tokenize({.model = kModel, .file = lines.path()}, out), 0);
  EXPECT_EQ(out.str(), "{\"id\":\"a\",\"ids\":[220]}\n{\"id\":\"2\",\"ids\":[1020]}\n");

  out.str("");
  tokenize({.model = kModel, .text = "", .encode = {.add_bos = true}}, out);
  EXPECT_EQ(out.str(), "{\"id\":\"1\",\"ids\":[1017]}\n");
}

// Of tests/data/tiny/llama-rope3-tied-bf16/cases.jsonl, chat1.
TEST(Tokenize, RendersChats) {
  constexpr const char* kIds =
      "1017,1019,84,514,198,39,916,314,11,536,78,538,912,30,1020,198,1019,64,313,448,298,83,198";
  const std::string question = "Hello, who are you?";
  std::ostringstream out;
  EXPECT_EQ(tokenize({.model = kModel, .text = question, .chat = true}, out), 0);
  EXPECT_EQ(out.str(), std::string("{\"id\":\"1\",\"ids\":[") + kIds + "]}\n");

  const tests::MemoryFile lines("{\"id\":\"1\",\"messages\":[{\"role\":\"user\",\"content\":\"" +
                                question + "\"}]}\n");
  std::ostringstream of_lines;
  EXPECT_EQ(tokenize({.model = kModel, .file = lines.path()}, of_lines), 0);
  EXPECT_EQ(of_lines.str(), out.str());
  EXPECT_THROW(tokenize({.model = kModel, .file = lines.path(), .raw = true}, out), Error);

  const tests::MemoryFile shouting("{{ messages[0].content | upper }}");
  std::ostringstream plain, rendered;
  tokenize({.model = kModel, .text = "HI"}, plain);
  tokenize({.model = kModel, .text = "Hi", .chat = true, .chat_template = shouting.path()},
           rendered);
  EXPECT_EQ(rendered.str(), plain.str());
}

TEST(Tokenize, NamesTheLineAtFault) {
  std::ostringstream out;
  const auto refusal = [&](std::string_view content) -> std::string {
    const tests::MemoryFile lines(content);
    try {
      tokenize({.model = kModel, .file = lines.path()}, out);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal("{\"text\":\"a\"}\n[]\n"), HasSubstr(":2: is not a JSON object"));
  EXPECT_THAT(refusal("{\"text\":3}\n"), HasSubstr(":1: has no string \"text\""));
  EXPECT_THAT(refusal("{\"messages\":[]}\n"), HasSubstr(":1: \"messages\" is not a list"));
  EXPECT_THAT(refusal("{\"text\":\"\xff\"}\n"), HasSubstr(":1: is not a JSON object"));
  // Printed again as deep as it came, it would overflow the stack.
  const std::string deep(100000, '[');
  EXPECT_THAT(refusal("{\"text\":\"a\",\"id\":" + deep + std::string(deep.size(), ']') + "}\n"),
              HasSubstr(":1: has an id that is no plain value"));
}

}  // namespace
}  // namespace sluice::worker
