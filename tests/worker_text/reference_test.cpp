// Oracle: tests/data/*/tokens.jsonl, computed by Hugging Face tokenizers: ids of each text with and
// without special tokens, and the text of ids, byte for byte.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "worker/model/gguf.h"
#include "worker/text/tokenizer.h"

namespace sluice::worker::text {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int32_t>;

const std::filesystem::path kData = SLUICE_TEST_DATA;

std::unique_ptr<Tokenizer> open(const std::filesystem::path& path) {
  return Tokenizer::from_gguf(model::Gguf::open(path));
}

void expect_reference(const Tokenizer& tokenizer, const std::filesystem::path& reference) {
  std::ifstream lines(reference);
  ASSERT_TRUE(lines) << reference;
  int texts = 0, decodings = 0;
  for (std::string line; std::getline(lines, line);) {
    const json row = json::parse(line);
    const auto name = row["name"].get<std::string>();
    if (row.contains("decode_ids")) {
      const auto ids = row["decode_ids"].get<Ids>();
      EXPECT_EQ(tokenizer.decode(ids, false), row["decoded"]) << name;
      EXPECT_EQ(tokenizer.decode(ids, true), row["decoded_skip_special"]) << name;
      ++decodings;
      continue;
    }
    const auto text = row["text"].get<std::string>();
    const auto ids = row["ids"].get<Ids>();
    EXPECT_EQ(tokenizer.encode(text, {}), ids) << name;
    EXPECT_EQ(tokenizer.encode(text, {.parse_special = false}), row["ids_plain"].get<Ids>())
        << name;
    EXPECT_EQ(tokenizer.decode(ids, false), row["decoded"]) << name;
    EXPECT_EQ(tokenizer.decode(ids, true), row["decoded_skip_special"]) << name;
    ++texts;
  }
  EXPECT_EQ(texts, 148);
  EXPECT_EQ(decodings, 24);
  std::cout << texts << " texts, " << decodings << " decodings\n";
}

std::vector<std::int32_t> stop_ids(const Tokenizer& tokenizer) {
  std::vector<std::int32_t> ids;
  for (const auto& stop : tokenizer.stop_tokens()) ids.push_back(stop.id);
  return ids;
}

class TinyTokenizer : public testing::TestWithParam<const char*> {
 protected:
  const std::filesystem::path dir_ = kData / "tiny" / GetParam();
  const std::unique_ptr<Tokenizer> tokenizer_ = open(dir_ / "model.gguf");
};

TEST_P(TinyTokenizer, EqualsTheReferenceInEveryRow) {
  expect_reference(*tokenizer_, dir_ / "tokens.jsonl");
}

TEST_P(TinyTokenizer, StopsWhereTheReferenceStops) {
  std::ifstream file(dir_ / "info.json");
  const json info = json::parse(file);
  auto expected = info["stop_token_ids"].get<std::vector<std::int32_t>>();
  std::ranges::sort(expected);
  EXPECT_EQ(stop_ids(*tokenizer_), expected);
  EXPECT_EQ(tokenizer_->size(), info["tokenizer_length"]);
  EXPECT_EQ(tokenizer_->adds_bos(), !info["add_special_prefix"].empty());
  EXPECT_EQ(tokenizer_->encode("", {.add_bos = true}), info["add_special_prefix"].get<Ids>());
}

INSTANTIATE_TEST_SUITE_P(Bpe, TinyTokenizer,
                         testing::Values("llama-rope3-tied-bf16", "smollm-tied-f16"),
                         [](const auto& model) { return std::string(model.param).substr(0, 5); });

// The real model is 98 MB and fetched once; these tests need it.
std::filesystem::path smollm2_path() {
  if (const char* path = std::getenv("SLUICE_TEST_MODEL")) return path;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path root =
      cache ? std::filesystem::path(cache) : std::filesystem::path(home ? home : "/") / ".cache";
  return root / "sluice" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf";
}

TEST(Smollm2Tokenizer, EqualsTheReferenceInEveryRow) {
  if (!std::filesystem::exists(smollm2_path())) {
    GTEST_SKIP() << smollm2_path() << " is missing; run scripts/fetch-model.sh";
  }
  const auto tokenizer = open(smollm2_path());
  expect_reference(*tokenizer, kData / "smollm2-135m-instruct" / "tokens.jsonl");
  EXPECT_EQ(stop_ids(*tokenizer), (std::vector<std::int32_t>{0, 2}));
  EXPECT_FALSE(tokenizer->adds_bos());
}

}  // namespace
}  // namespace sluice::worker::text
