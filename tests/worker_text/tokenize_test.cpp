// Oracle: tests/data/tiny/*/tokens.jsonl, through the commands: what one prints the other reads.
#include "worker/tokenize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/worker_model/memory_file.h"
#include "worker/error.h"

namespace sluice::worker {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::filesystem::path kFolder = std::string(SLUICE_TEST_DATA) + "/tiny/mistral-bf16";

std::string detokenized(const std::string& lines, bool skip_special = false) {
  const tests::MemoryFile file(lines);
  std::ostringstream out;
  EXPECT_EQ(detokenize({.model = kFolder, .file = file.path(), .skip_special = skip_special}, out),
            0);
  return out.str();
}

std::string refusal(const std::string& lines) {
  try {
    return detokenized(lines);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Detokenize, ReadsWhatTokenizePrints) {
  std::ifstream reference(kFolder / "tokens.jsonl");
  std::string texts;
  std::vector<json> rows;
  for (std::string line; std::getline(reference, line);) {
    if (const json row = json::parse(line); row.contains("text")) {
      rows.push_back(row);
      texts += json{{"id", row["name"]}, {"text", row["text"]}}.dump() + "\n";
    }
  }
  const tests::MemoryFile file(texts);
  std::ostringstream ids;
  tokenize({.model = kFolder, .file = file.path()}, ids);
  for (const bool skip_special : {false, true}) {
    std::istringstream lines(detokenized(ids.str(), skip_special));
    std::string line;
    for (const json& row : rows) {
      ASSERT_TRUE(std::getline(lines, line));
      const auto expected = row[skip_special ? "decoded_skip_special" : "decoded"];
      EXPECT_EQ(json::parse(line), (json{{"id", row["name"]}, {"text", expected}}));
    }
    EXPECT_FALSE(std::getline(lines, line));
  }
}

TEST(Detokenize, NamesTheLineThatIsNone) {
  EXPECT_EQ(detokenized(R"({"ids": [1, 99999]})"
                        "\n"),
            R"({"id":"1","text":"<s>"})"
            "\n");
  EXPECT_THAT(refusal("{}\n"), HasSubstr(":1: has no array \"ids\""));
  EXPECT_THAT(refusal("{\"ids\": []}\nids\n"), HasSubstr(":2: is not a JSON object"));
  for (const char* id : {"1.5", "-1", "2147483648", "18446744073709551615", "\"1\"", "null"}) {
    EXPECT_THAT(refusal(std::string("{\"ids\": [") + id + "]}"), HasSubstr("no integer")) << id;
  }
}

}  // namespace
}  // namespace sluice::worker
