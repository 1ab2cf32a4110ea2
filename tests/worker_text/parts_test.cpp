// Oracle: tests/data/tokenizer-parts.jsonl (made by make_tokenizer_parts.py beside it): each part
// of tokenizer.json with each of its options, and what Hugging Face tokenizers makes of texts and
// ids.
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "tests/jobs/temp_dir.h"
#include "worker/text/tokenizer.h"

namespace sluice::worker::text {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int32_t>;

// The parts that a row is about, for messages.
std::string parts_of(const json& file) {
  json parts;
  for (const char* part : {"normalizer", "pre_tokenizer", "decoder", "added_tokens"}) {
    parts[part] = file[part];
  }
  parts["model"] = file["model"]["type"];
  return parts.dump();
}

TEST(TokenizerParts, EachEqualsTheReference) {
  std::ifstream lines(std::string(SLUICE_TEST_DATA) + "/tokenizer-parts.jsonl");
  const tests::TempDir folder;
  int tokenizers = 0, encoded = 0, decoded = 0;
  for (std::string line; std::getline(lines, line); ++tokenizers) {
    const json row = json::parse(line);
    folder.write("tokenizer.json", row["tokenizer"].dump());
    const auto tokenizer = Tokenizer::from_folder(folder.path());
    for (std::size_t i = 0; i < row["texts"].size(); ++i, ++encoded) {
      EXPECT_EQ(tokenizer->encode(row["texts"][i].get<std::string>(), {}), row["ids"][i].get<Ids>())
          << row["texts"][i] << " " << parts_of(row["tokenizer"]);
    }
    for (std::size_t i = 0; i < row["decode_ids"].size(); ++i, ++decoded) {
      EXPECT_EQ(tokenizer->decode(row["decode_ids"][i].get<Ids>(), false), row["decoded"][i])
          << row["decode_ids"][i] << " " << parts_of(row["tokenizer"]);
    }
  }
  EXPECT_EQ(tokenizers, 98);
  std::cout << tokenizers << " tokenizers, " << encoded << " texts, " << decoded
            << " lists of ids\n";
}

}  // namespace
}  // namespace sluice::worker::text
