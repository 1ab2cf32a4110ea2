// Oracle: tests/data/chat-templates, rendered by Hugging Face transformers (make.py there): the
// templates of many families over the same conversations, and small templates about one thing
// each; the chats of tests/data/tiny. All byte for byte.
#include "worker/text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "worker/error.h"
#include "worker/text/model_chat.h"

namespace sluice::worker::text {
namespace {

using Json = nlohmann::ordered_json;

const std::filesystem::path kData = std::filesystem::path(SLUICE_TEST_DATA) / "chat-templates";

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<Json> rows_of(const std::string& name) {
  std::ifstream lines(kData / name);
  EXPECT_TRUE(lines) << name;
  std::vector<Json> rows;
  for (std::string line; std::getline(lines, line);) rows.push_back(Json::parse(line));
  return rows;
}

// 2026-03-05 14:07:09, a Thursday, as in make.py.
std::tm fixed_time() {
  std::tm time{};
  time.tm_year = 126, time.tm_mon = 2, time.tm_mday = 5, time.tm_wday = 4, time.tm_yday = 63;
  time.tm_hour = 14, time.tm_min = 7, time.tm_sec = 9;
  return time;
}

Conversation conversation_of(const Json& json) {
  const auto part = [&](const char* key) { return json.contains(key) ? json[key].dump() : ""; };
  return {.messages = part("messages"),
          .tools = part("tools"),
          .documents = part("documents"),
          .variables = part("variables"),
          .add_generation_prompt = json.value("add_generation_prompt", true),
          .local_time = fixed_time()};
}

// What became of a rendering, as make.py writes it.
struct Outcome {
  std::optional<std::string> rendered;
  std::string error = {};
};

template <class Render>
Outcome outcome(Render render) {
  try {
    return {render()};
  } catch (const Error& error) {
    return {{}, error.what()};
  }
}

void expect_equal(const Json& row, const Outcome& found) {
  const std::string what = row.contains("case") ? row["template"].get<std::string>() + ", " +
                                                      row["case"].get<std::string>()
                                                : row["template"].dump();
  if (row.contains("rendered")) {
    ASSERT_TRUE(found.rendered) << what << ": " << found.error;
    EXPECT_EQ(*found.rendered, row["rendered"].get<std::string>()) << what;
    return;
  }
  ASSERT_FALSE(found.rendered) << what << ": " << *found.rendered << "\ninstead of " << row;
  if (row.contains("refused")) {
    EXPECT_THAT(found.error, testing::EndsWith("the template refuses the conversation: " +
                                               row["refused"].get<std::string>()))
        << what;
  }
}

TEST(ChatTemplate, RendersEveryFamilyAsTransformers) {
  const Json cases = Json::parse(read(kData / "cases.json"));
  const Json families = Json::parse(read(kData / "families.json"));
  std::map<std::string, ChatTemplate> templates;
  for (const auto& [name, tokens] : families.items()) {
    const auto path = kData / "templates" / (name + ".jinja");
    templates.emplace(name, ChatTemplate::parse(read(path), path.string(),
                                                tokens.get<std::map<std::string, std::string>>()));
  }
  int rendered = 0, refused = 0;
  for (const Json& row : rows_of("rendered.jsonl")) {
    const auto conversation = conversation_of(cases[row["case"].get<std::string>()]);
    const auto found = outcome(
        [&] { return templates.at(row["template"].get<std::string>()).render(conversation); });
    expect_equal(row, found);
    rendered += row.contains("rendered");
    refused += row.contains("refused");
  }
  std::cout << families.size() << " templates, " << rendered << " conversations rendered, "
            << refused << " refused by their template\n";
  EXPECT_GE(families.size(), 30u);
  EXPECT_GE(rendered, 500);
  EXPECT_GE(refused, 40);
}

TEST(ChatTemplate, RendersEachThingOfJinjaAsTransformers) {
  const Json variables = Json::parse(read(kData / "variables.json"));
  const Conversation conversation{.messages = R"([{"role": "user"}])",
                                  .variables = variables.dump(),
                                  .local_time = fixed_time()};
  int rendered = 0, errors = 0;
  for (const Json& row : rows_of("snippets.jsonl")) {
    const auto found = outcome([&] {
      return ChatTemplate::parse(row["template"].get<std::string>(), "snippet")
          .render(conversation);
    });
    expect_equal(row, found);
    rendered += row.contains("rendered");
    errors += !row.contains("rendered");
  }
  std::cout << rendered << " snippets rendered, " << errors << " are errors\n";
  EXPECT_GE(rendered, 190);
  EXPECT_GE(errors, 70);
}

class TinyChat : public testing::TestWithParam<const char*> {};

TEST_P(TinyChat, RendersItsOwnCases) {
  const auto dir = std::filesystem::path(SLUICE_TEST_DATA) / "tiny" / GetParam();
  const ModelChat chat = ModelChat::from_folder(dir);
  std::ifstream lines(dir / "cases.jsonl");
  int chats = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json row = Json::parse(line);
    if (!row.contains("rendered")) continue;
    ++chats;
    EXPECT_EQ(chat.render({.messages = row["messages"].dump()}), row["rendered"]) << row["id"];
  }
  EXPECT_GE(chats, 2);
}

INSTANTIATE_TEST_SUITE_P(All, TinyChat,
                         testing::Values("gemma2-bf16", "gemma3-f32", "gemma3-linear-bf16",
                                         "llama-rope3-tied-bf16", "llama-untied-f32",
                                         "mistral-bf16", "qwen2-tied-sharded-bf16", "qwen3-f16",
                                         "smollm-tied-f16"),
                         [](const auto& name) {
                           std::string letters = name.param;
                           std::ranges::replace(letters, '-', '_');
                           return letters;
                         });

}  // namespace
}  // namespace sluice::worker::text
