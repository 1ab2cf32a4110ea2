// Oracle: tests/data/*/tokens.jsonl, computed by Hugging Face tokenizers: ids of each text with and
// without special tokens, and the text of ids, byte for byte; where the row lists what other
// implementations give, either is right. tests/data/tokenizer-vocab: ids by llama.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "worker/model/gguf.h"
#include "worker/text/detokenizer.h"
#include "worker/text/tokenizer.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int32_t>;

const std::filesystem::path kData = SLUICE_TEST_DATA;

std::unique_ptr<Tokenizer> from_gguf(const std::filesystem::path& path) {
  return Tokenizer::from_gguf(model::Gguf::open(path));
}

// What the reference lists for a text, the first being Hugging Face's.
std::vector<Ids> answers(const json& row, const std::vector<const char*>& keys) {
  std::vector<Ids> answers;
  for (const char* key : keys) {
    if (row.contains(key)) answers.push_back(row[key].get<Ids>());
  }
  return answers;
}

std::string stream(const Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  Detokenizer detokenizer(tokenizer, skip_special);
  std::string text;
  const auto add = [&](const std::string& part) {
    EXPECT_FALSE(find_invalid_utf8(part)) << "half a character";
    text += part;
  };
  for (const auto id : ids) add(detokenizer.push(id));
  add(detokenizer.finish());
  return text;
}

class Comparison {
 public:
  explicit Comparison(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void rows(const std::filesystem::path& reference) {
    std::ifstream lines(reference);
    ASSERT_TRUE(lines) << reference;
    for (std::string line; std::getline(lines, line);) {
      const json row = json::parse(line);
      if (row.contains("decode_ids")) {
        texts(row, row["decode_ids"].get<Ids>());
        continue;
      }
      const auto text = row["text"].get<std::string>();
      ids(row, tokenizer_.encode(text, {}), answers(row, {"ids", "hf_gguf_ids", "llama_cpp_ids"}));
      ids(row, tokenizer_.encode(text, {.parse_special = false}),
          answers(row, {"ids_plain", "llama_cpp_ids_plain", "sentencepiece_ids_plain"}));
      texts(row, row["ids"].get<Ids>());
    }
    EXPECT_EQ(ids_, 2 * 148);
    EXPECT_EQ(texts_, 2 * (148 + 24));
    std::cout << equal_ids_ << " of " << ids_ << " lists of ids equal (" << other_ids_
              << " to the second answer), " << equal_texts_ << " of " << texts_
              << " texts, streamed too\n";
  }

 private:
  void ids(const json& row, const Ids& ids, const std::vector<Ids>& answers) {
    ++ids_;
    const auto found = std::ranges::find(answers, ids);
    equal_ids_ += found != answers.end();
    other_ids_ += found != answers.end() && found != answers.begin();
    EXPECT_NE(found, answers.end()) << row["name"] << ": " << json(ids) << "\n"
                                    << json(answers.front());
  }

  void texts(const json& row, const Ids& ids) {
    for (const bool skip_special : {false, true}) {
      ++texts_;
      const auto expected =
          row[skip_special ? "decoded_skip_special" : "decoded"].get<std::string>();
      const bool equal = tokenizer_.decode(ids, skip_special) == expected &&
                         stream(tokenizer_, ids, skip_special) == expected;
      equal_texts_ += equal;
      EXPECT_TRUE(equal) << row["name"] << ": " << json(tokenizer_.decode(ids, skip_special))
                         << "\n"
                         << json(expected);
    }
  }

  const Tokenizer& tokenizer_;
  int ids_ = 0, equal_ids_ = 0, other_ids_ = 0, texts_ = 0, equal_texts_ = 0;
};

Ids stop_ids(const Tokenizer& tokenizer) {
  Ids ids;
  for (const auto& stop : tokenizer.stop_tokens()) ids.push_back(stop.id);
  return ids;
}

struct Tiny {
  const char* model;
  bool is_folder;
};

class TinyTokenizer : public testing::TestWithParam<Tiny> {
 protected:
  const std::filesystem::path dir_ = kData / "tiny" / GetParam().model;
  const std::unique_ptr<Tokenizer> tokenizer_ =
      GetParam().is_folder ? Tokenizer::from_folder(dir_) : from_gguf(dir_ / "model.gguf");
};

TEST_P(TinyTokenizer, EqualsTheReferenceInEveryRow) {
  Comparison(*tokenizer_).rows(dir_ / "tokens.jsonl");
}

TEST_P(TinyTokenizer, EncodesChatsAsTheReference) {
  std::ifstream lines(dir_ / "cases.jsonl");
  int chats = 0;
  for (std::string line; std::getline(lines, line);) {
    const json row = json::parse(line);
    const bool is_chat = row.contains("rendered");
    chats += is_chat;
    const auto text = row[is_chat ? "rendered" : "prompt"].get<std::string>();
    EXPECT_EQ(tokenizer_->encode(text, {.add_bos = !is_chat}), row["prompt_token_ids"].get<Ids>())
        << row["name"];
  }
  EXPECT_GE(chats, 2);
}

TEST_P(TinyTokenizer, StopsWhereTheReferenceStops) {
  std::ifstream file(dir_ / "info.json");
  const json info = json::parse(file);
  auto expected = info["stop_token_ids"].get<Ids>();
  std::ranges::sort(expected);
  EXPECT_EQ(stop_ids(*tokenizer_), expected);
  // A GGUF file names a padding token for each row of the embedding that has none.
  EXPECT_EQ(tokenizer_->size(), info[GetParam().is_folder ? "tokenizer_length" : "vocab_size"]);
  EXPECT_EQ(tokenizer_->adds_bos(), !info["add_special_prefix"].empty());
  EXPECT_EQ(tokenizer_->encode("", {.add_bos = true}), info["add_special_prefix"].get<Ids>());
}

INSTANTIATE_TEST_SUITE_P(
    All, TinyTokenizer,
    testing::Values(Tiny{"llama-rope3-tied-bf16", false}, Tiny{"smollm-tied-f16", false},
                    Tiny{"qwen2-tied-sharded-bf16", false}, Tiny{"qwen3-f16", false},
                    Tiny{"llama-rope3-tied-bf16", true}, Tiny{"smollm-tied-f16", true},
                    Tiny{"qwen2-tied-sharded-bf16", true}, Tiny{"qwen3-f16", true},
                    Tiny{"llama-untied-f32", true}, Tiny{"mistral-bf16", true},
                    Tiny{"gemma2-bf16", true}, Tiny{"gemma3-f32", true},
                    Tiny{"gemma3-linear-bf16", true}),
    [](const auto& tiny) {
      std::string name = std::string(tiny.param.model) + (tiny.param.is_folder ? "" : "_gguf");
      std::ranges::replace(name, '-', '_');
      return name;
    });

// The real models are large and fetched once; these tests need them. Gemma's runs in
// scripts/check-full.sh models.
std::filesystem::path real_model(const char* variable, const char* file) {
  if (const char* path = std::getenv(variable)) return path;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path root =
      cache ? std::filesystem::path(cache) : std::filesystem::path(home ? home : "/") / ".cache";
  return root / "sluice" / "models" / file;
}

TEST(Smollm2Tokenizer, EqualsTheReferenceInEveryRow) {
  const auto path = real_model("SLUICE_TEST_MODEL", "SmolLM2-135M-Instruct.Q4_1.gguf");
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << path << " is missing; run scripts/fetch-model.sh";
  }
  const auto tokenizer = from_gguf(path);
  Comparison(*tokenizer).rows(kData / "smollm2-135m-instruct" / "tokens.jsonl");
  EXPECT_EQ(stop_ids(*tokenizer), (Ids{0, 2}));
  EXPECT_FALSE(tokenizer->adds_bos());
}

TEST(Gemma3Tokenizer, EqualsTheReferenceInEveryRow) {
  const auto path = real_model("SLUICE_TEST_GEMMA3", "gemma-3-270m-q4_k_m.gguf");
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << path << " is missing; run scripts/fetch-model.sh gemma3";
  }
  const auto tokenizer = from_gguf(path);
  Comparison(*tokenizer).rows(kData / "gemma-3-270m" / "tokens.jsonl");
  EXPECT_EQ(stop_ids(*tokenizer), (Ids{1, 106}));
  EXPECT_EQ(tokenizer->encode("", {.add_bos = true}), Ids{2});
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

class RealVocabulary : public testing::TestWithParam<const char*> {};

TEST_P(RealVocabulary, EqualsLlamaCppInEveryText) {
  const auto tokenizer = from_gguf(std::filesystem::path(SLUICE_TEST_VOCABULARIES) / GetParam());
  const std::string reference = (kData / "tokenizer-vocab" / GetParam()).string();
  constexpr std::string_view kBetween = "\n__ggml_vocab_test__\n";
  std::string texts = read(reference + ".inp");
  std::istringstream lines(read(reference + ".out"));
  int equal = 0, count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto end = texts.find(kBetween);
    ASSERT_NE(end, std::string::npos);
    std::istringstream numbers(line);
    const Ids expected{std::istream_iterator<std::int32_t>(numbers), {}};
    const Ids ids = tokenizer->encode(texts.substr(0, end), {.parse_special = false});
    EXPECT_EQ(ids, expected) << json(texts.substr(0, end));
    equal += ids == expected;
    texts.erase(0, end + kBetween.size());
  }
  EXPECT_EQ(count, 46);
  std::cout << equal << " of " << count << " texts equal\n";
}

INSTANTIATE_TEST_SUITE_P(All, RealVocabulary,
                         testing::Values("ggml-vocab-llama-bpe.gguf", "ggml-vocab-qwen2.gguf",
                                         "ggml-vocab-llama-spm.gguf"),
                         [](const auto& name) {
                           std::string letters = std::string(name.param).substr(11);
                           letters.resize(letters.find('.'));
                           std::ranges::replace(letters, '-', '_');
                           return letters;
                         });

}  // namespace
}  // namespace sluice::worker::text
