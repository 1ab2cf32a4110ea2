// Oracle: Hugging Face folders written by hand: what is right beside tokenizer.json, and what must
// be refused with the file, the key and the reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/jobs/temp_dir.h"
#include "worker/error.h"
#include "worker/text/tokenizer.h"

namespace sluice::worker::text {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// A tokenizer.json of the letters a, b and ab, "<s>" and "<|im_end|>" added.
json tiny() {
  return json::parse(R"({
    "added_tokens": [{"id": 3, "content": "<s>", "special": true, "normalized": false},
                     {"id": 4, "content": "<|im_end|>", "special": true, "normalized": false}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
}

class Folder {
 public:
  explicit Folder(const json& tokenizer = tiny()) { write("tokenizer.json", tokenizer.dump()); }

  Folder& write(const std::string& name, const std::string& text) {
    dir_.write(name, text);
    return *this;
  }
  std::unique_ptr<Tokenizer> open() const { return Tokenizer::from_folder(dir_.path()); }
  std::string refusal() const {
    try {
      open();
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }

 private:
  tests::TempDir dir_;
};

std::string refusal(const json& tokenizer) { return Folder(tokenizer).refusal(); }

// What becomes of tiny() with `value` at `key`.
std::string refusal_with(const std::string& key, const std::string& value) {
  json tokenizer = tiny();
  tokenizer[json::json_pointer(key)] = json::parse(value);
  return refusal(tokenizer);
}

TEST(TokenizerFolder, TakesWhatStandsAroundATextFromTheTemplate) {
  json tokenizer = tiny();
  tokenizer["post_processor"] = json::parse(R"({"type": "Sequence", "processors": [
    {"type": "ByteLevel"},
    {"type": "TemplateProcessing", "special_tokens": {"<s>": {"ids": [3]}, "e": {"ids": [4, 0]}},
     "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}},
                {"SpecialToken": {"id": "e"}}]}]})");
  const auto opened =
      Folder(tokenizer).write("tokenizer_config.json", R"({"add_bos_token": true})").open();
  EXPECT_THAT(opened->encode("ab", {.add_bos = true}), ElementsAre(3, 2, 4, 0));
  EXPECT_THAT(opened->encode("ab", {}), ElementsAre(2));
  EXPECT_EQ(opened->bos(), 3);
  EXPECT_EQ(opened->kind(), "BPE");
}

struct Configured {  // tiny() beside a tokenizer_config.json
  explicit Configured(const std::string& config) { folder.write("tokenizer_config.json", config); }
  std::unique_ptr<Tokenizer> open() const { return folder.open(); }
  std::string refusal() const { return folder.refusal(); }

  Folder folder;
};

TEST(TokenizerFolder, ElseFromTheFlagsOfItsConfig) {
  EXPECT_FALSE(Folder().open()->adds_bos());
  EXPECT_FALSE(Configured(R"({"bos_token": "<s>"})").open()->adds_bos());
  EXPECT_EQ(Configured(R"({"bos_token": "<s>"})").open()->bos(), 3);
  const auto both = Configured(R"({"add_bos_token": true, "bos_token": {"content": "<s>"},
                             "add_eos_token": true, "eos_token": "<|im_end|>"})")
                        .open();
  EXPECT_THAT(both->encode("a", {.add_bos = true}), ElementsAre(3, 0, 4));
  EXPECT_THAT(Configured(R"({"add_bos_token": true})").refusal(),
              HasSubstr("there is no bos_token"));
  EXPECT_THAT(Configured(R"({"bos_token": "<x>"})").refusal(),
              HasSubstr("tokenizer_config.json: key 'bos_token' is '<x>', which is no token"));
}

TEST(TokenizerFolder, StopsWhereTheFirstFileThatNamesEndsSays) {
  const auto stops = [](const char* generation, const char* config) {
    Folder folder;
    if (generation) folder.write("generation_config.json", generation);
    if (config) folder.write("config.json", config);
    std::vector<std::pair<std::int32_t, std::string>> found;
    const auto tokenizer = folder.open();
    for (const auto& stop : tokenizer->stop_tokens()) found.emplace_back(stop.id, stop.why);
    return found;
  };
  using testing::Pair;
  const auto* family = "control token of the same chat format";
  EXPECT_THAT(stops(R"({"eos_token_id": [0, 1]})", R"({"eos_token_id": 4})"),
              ElementsAre(Pair(0, "generation_config.json: eos_token_id"), Pair(1, testing::_)));
  EXPECT_THAT(stops("{}", R"({"eos_token_id": 4})"),
              ElementsAre(Pair(4, "config.json: eos_token_id")));
  EXPECT_THAT(stops(nullptr, nullptr), ElementsAre(Pair(4, family))) << "none named: every family";
  EXPECT_THAT(Folder().write("generation_config.json", R"({"eos_token_id": [5]})").refusal(),
              HasSubstr("generation_config.json: key 'eos_token_id[0]' is 5, which is no token"));
}

TEST(TokenizerFolder, RefusesPartsByNameAndSaysWhatIsSupported) {
  EXPECT_THAT(refusal_with("/normalizer", R"({"type": "Precompiled"})"),
              HasSubstr("key 'normalizer.type' is 'Precompiled', which is not supported by this "
                        "version (supported: Sequence, NFC"));
  EXPECT_THAT(refusal_with("/pre_tokenizer",
                           R"({"type": "Sequence", "pretokenizers": [{"type": "Bert"}]})"),
              HasSubstr("key 'pre_tokenizer.pretokenizers[0].type' is 'Bert'"));
  EXPECT_THAT(refusal_with("/model/type", R"("WordPiece")"),
              HasSubstr("(supported: BPE, Unigram)"));
  EXPECT_THAT(refusal_with("/decoder", R"({"type": "CTC"})"), HasSubstr("'decoder.type' is 'CTC'"));
  EXPECT_THAT(refusal_with("/decoder", "null"), HasSubstr("'decoder.type' is missing"));
  EXPECT_THAT(refusal_with("/post_processor", R"({"type": "BertProcessing"})"),
              HasSubstr("'post_processor.type' is 'BertProcessing'"));
  EXPECT_THAT(refusal_with("/model/dropout", "0.1"), HasSubstr("'model.dropout' makes ids random"));
  EXPECT_THAT(refusal_with("/model/end_of_word_suffix", R"("</w>")"),
              HasSubstr("'model.end_of_word_suffix' is not supported"));
  EXPECT_THAT(refusal_with("/pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "(a"},
                                                "behavior": "Removed"})"),
              HasSubstr("'pre_tokenizer.pattern.Regex' cannot be used: the pattern '(a'"));
  EXPECT_THAT(refusal_with("/decoder", R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
                             {"type": "Replace", "pattern": {"String": "ab"}, "content": ""}]})"),
              HasSubstr("not one character, which is not supported behind Fuse"));
  const tests::TempDir empty;
  EXPECT_THROW(Tokenizer::from_folder(empty.path()), Error);
}

TEST(TokenizerFolder, RefusesLiesAboutTokens) {
  const auto vocab = [](const char* value) { return refusal_with("/model/vocab", value); };
  EXPECT_THAT(vocab(R"({"a": 0, "b": 0, "ab": 1})"), HasSubstr("the id 0 for 'b' and for 'a'"));
  EXPECT_THAT(vocab(R"({"a": 0, "b": 1, "ab": 2147483647})"), HasSubstr("out of proportion"));
  EXPECT_THAT(vocab(R"({"a": 0, "b": 1, "ab": 18446744073709551615})"), HasSubstr("64 bits"));
  EXPECT_THAT(vocab(R"({"a": 0, "b": -1, "ab": 2})"), HasSubstr("has the id -1"));
  EXPECT_THAT(vocab(R"({"a": 0, "b": "1", "ab": 2})"), HasSubstr("no integer"));
  EXPECT_THAT(vocab(R"({"a": 0, "b": [1], "ab": 2})"), HasSubstr("'model.vocab.b' is no number"));
  EXPECT_THAT(vocab(R"([["a", 0], ["b", 0]])"), HasSubstr("no object of ids"));
  EXPECT_THAT(vocab("7"), HasSubstr("no object of ids"));
  EXPECT_THAT(vocab(R"({"a": 0, "b": 1, "ab": 2, "<s>": 5})"), HasSubstr("is not 5"));
  EXPECT_THAT(Folder()
                  .write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0, "a": 1},
                             "merges": []}, "decoder": {"type": "Fuse"}})")
                  .refusal(),
              HasSubstr("has the token 'a' twice"));
  EXPECT_EQ(vocab(R"({"a": 0, "b": 1, "ab": 100})"), "accepted") << "gaps are no lie";

  const auto merges = [](const char* value) { return refusal_with("/model/merges", value); };
  EXPECT_THAT(merges(R"(["b a"])"), HasSubstr("merge 0, 'b' and 'a', which is not of tokens"));
  EXPECT_THAT(merges(R"(["a b", "ab a"])"), HasSubstr("the merge 1, 'ab' and 'a'")) << "a cycle";
  EXPECT_THAT(merges(R"(["a b", ["", "a"]])"), HasSubstr("the merge 1, '' and 'a'"));
  EXPECT_THAT(merges(R"(["a b", ["a", "b"]])"), HasSubstr("a merge twice"));
  EXPECT_THAT(merges(R"(["a b c"])"), HasSubstr("not of two texts"));
  EXPECT_THAT(merges(R"([["a"]])"), HasSubstr("not of two texts"));
  EXPECT_THAT(merges(R"([1])"), HasSubstr("'model.merges' is no string"));
  EXPECT_THAT(merges("{}"), HasSubstr("'model.merges' is no array"));

  const auto added = [](const char* value) { return refusal_with("/added_tokens/0/id", value); };
  EXPECT_THAT(added("0"), HasSubstr("the id 0 for '<s>' and for 'a'"));
  EXPECT_THAT(added("3000000000"), HasSubstr("'added_tokens[0].id' has the id 3000000000"));
  EXPECT_THAT(refusal_with("/added_tokens/0/content", '"' + std::string(2000, 'x') + '"'),
              HasSubstr("2000 bytes; at most 1024"));
  EXPECT_THAT(refusal_with("/added_tokens", "{}"), HasSubstr("'added_tokens' is no array"));
  EXPECT_THAT(refusal_with("/post_processor", R"({"type": "TemplateProcessing", "special_tokens":
                {"x": {"ids": [9]}}, "single": [{"SpecialToken": {"id": "x"}}]})"),
              HasSubstr("ids[0]' is no token"));
}

TEST(TokenizerFolder, RefusesWhatIsNoJson) {
  const auto file = [](const std::string& text) {
    return Folder().write("tokenizer.json", text).refusal();
  };
  EXPECT_THAT(file(""), HasSubstr("tokenizer.json: is not valid JSON at byte 1"));
  EXPECT_THAT(file("{\"model\": \"\xff\"}"), HasSubstr("is not valid JSON at byte 12"));
  EXPECT_THAT(file("[]"), HasSubstr("is no JSON object"));
  EXPECT_THAT(file("{\"a\":" + std::string(100'000, '[')), HasSubstr("nested more than 32 deep"));
  EXPECT_THAT(file("{}"), HasSubstr("key 'model.type' is missing"));
}

TEST(TokenizerFolder, ANormalizerMayNotLetATextGrowWithoutBound) {
  json tokenizer = tiny();
  tokenizer["normalizer"] = json::parse(R"({"type": "Sequence", "normalizers": []})");
  const json doubling =
      json::parse(R"({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"})");
  for (int i = 0; i < 30; ++i) tokenizer["normalizer"]["normalizers"].push_back(doubling);
  const auto opened = Folder(tokenizer).open();
  EXPECT_THROW(opened->encode("aaaa", {}), Error);
}

}  // namespace
}  // namespace sluice::worker::text
