// Oracle: properties of any tokenizer, and metadata written by hand that must be refused by name.
#include "worker/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/jobs/temp_dir.h"
#include "tests/worker_model/gguf_writer.h"
#include "tests/worker_model/memory_file.h"
#include "worker/error.h"
#include "worker/model/gguf.h"
#include "worker/text/detokenizer.h"
#include "worker/text/stop_strings.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using tests::GgufWriter;
using Ids = std::vector<std::int32_t>;

std::unique_ptr<Tokenizer> tiny(const std::string& name) {
  return Tokenizer::from_gguf(
      model::Gguf::open(std::string(SLUICE_TEST_DATA) + "/tiny/" + name + "/model.gguf"));
}

std::unique_ptr<Tokenizer> from(const GgufWriter& writer) {
  const tests::MemoryFile memory(writer.file());
  return Tokenizer::from_gguf(model::Gguf::open(memory.path()));
}

std::string refusal(const GgufWriter& writer) {
  try {
    from(writer);
  } catch (const Error& error) {
    return error.what();
  }
  return "supported";
}

struct Vocabulary {
  std::string kind = "gpt2", pre = "gpt-2";
  std::vector<std::string> tokens = {"a", "b", "c", "ab", "abc", "<s>", "<end>", "<end>s"};
  std::vector<std::int32_t> types = {1, 1, 1, 1, 1, 3, 4, 3};
  std::vector<std::string> merges = {"a b", "ab c"};

  GgufWriter writer() const {
    GgufWriter out;
    out.pair("tokenizer.ggml.model", kind).pair("tokenizer.ggml.pre", pre);
    out.strings("tokenizer.ggml.tokens", tokens).strings("tokenizer.ggml.merges", merges);
    out.begin_array("tokenizer.ggml.token_type", GgufWriter::i32, types.size());
    out.raw({reinterpret_cast<const char*>(types.data()), types.size() * 4});
    return out;
  }
};

TEST(Tokenizer, SpecialTokensAreFoundFirstAndTheLongestWins) {
  const auto tokenizer = from(Vocabulary().writer());
  EXPECT_THAT(tokenizer->encode("ab<s>c", {}), ElementsAre(3, 5, 2));
  EXPECT_THAT(tokenizer->encode("<end>s<end>", {}), ElementsAre(7, 6));
  EXPECT_THAT(tokenizer->encode("a<end", {}), ElementsAre(0)) << "'<', 'e' ... have no token";
  EXPECT_THAT(tokenizer->encode("<s>a<end>s", {.parse_special = false}), ElementsAre(0, 6))
      << "control tokens are text, user-defined ones always count";
  EXPECT_EQ(tokenizer->decode(Ids{5, 4, 6}, true), "abc<end>");
  EXPECT_EQ(tokenizer->decode(Ids{5, 4, 6}, false), "<s>abc<end>");
}

// An embedding may be padded with rows beyond the vocabulary.
TEST(Tokenizer, IdsThatAreNoTokensHaveNoText) {
  const auto tokenizer = from(Vocabulary().writer());
  EXPECT_EQ(tokenizer->decode(Ids{8, 0, 1 << 30, -1, 1}, true), "ab");
  EXPECT_EQ(tokenizer->decode(Ids{8, 0, 1 << 30, -1, 1}, false), "ab");
}

// Half of a character is none, and what stands before the first token is not the others'.
TEST(Tokenizer, PiecesOfTokensKeepTheirBlanks) {
  const auto tokenizer = from(Vocabulary().writer());
  EXPECT_EQ(tokenizer->piece(3), "ab");
  EXPECT_EQ(tokenizer->piece(5), "<s>");
  EXPECT_EQ(tokenizer->piece(8), "");
  Vocabulary bytes;
  for (const char* token : {"\u0120a", "\u00e2"}) {  // the byte alphabet's blank, and its 0xe2
    bytes.tokens.emplace_back(token);
    bytes.types.push_back(1);
  }
  EXPECT_EQ(from(bytes.writer())->piece(8), " a");
  EXPECT_EQ(from(bytes.writer())->piece(9), "\uFFFD");
}

TEST(Tokenizer, IgnoresMergesOnlyWhereTheRuleSaysSo) {
  Vocabulary vocabulary{.merges = {"a b"}};  // abc is a token that no merge makes
  vocabulary.pre = "llama-bpe";
  EXPECT_THAT(from(vocabulary.writer())->encode("abc", {}), ElementsAre(4));
  vocabulary.pre = "gpt-2";
  EXPECT_THAT(from(vocabulary.writer())->encode("abc", {}), ElementsAre(3, 2));
}

TEST(Tokenizer, AddsBosWhereTheFileWantsIt) {
  auto plain = Vocabulary().writer();
  EXPECT_FALSE(from(plain.size("tokenizer.ggml.bos_token_id", 5))->adds_bos());
  auto wanted = Vocabulary().writer();
  wanted.size("tokenizer.ggml.bos_token_id", 5)
      .pair("tokenizer.ggml.add_bos_token", GgufWriter::boolean, std::uint8_t{1});
  EXPECT_THAT(from(wanted)->encode("a", {.add_bos = true}), ElementsAre(5, 0));
  EXPECT_THAT(from(wanted)->encode("a", {}), ElementsAre(0));
  EXPECT_TRUE(from(Vocabulary{.pre = "llama-bpe"}.writer().size("tokenizer.ggml.bos_token_id", 5))
                  ->adds_bos());
}

TEST(Tokenizer, StopsAtTheFamilyOfTheNamedEndToken) {
  Vocabulary vocabulary;
  vocabulary.tokens = {"a", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>"};
  vocabulary.types = {1, 3, 3, 3, 1};
  vocabulary.merges = {};
  const auto stops = [](const GgufWriter& writer) {
    Ids ids;
    const auto tokenizer = from(writer);
    for (const auto& stop : tokenizer->stop_tokens()) ids.push_back(stop.id);
    return ids;
  };
  EXPECT_THAT(stops(vocabulary.writer()), ElementsAre(1, 2, 3)) << "none named: every family";
  EXPECT_THAT(stops(vocabulary.writer().size("tokenizer.ggml.eos_token_id", 1)), ElementsAre(1, 2));
  EXPECT_THAT(stops(vocabulary.writer().size("tokenizer.ggml.eos_token_id", 3)), ElementsAre(3));
  EXPECT_THAT(stops(vocabulary.writer().size("tokenizer.ggml.eos_token_id", 0)), ElementsAre(0));
  EXPECT_THAT(stops(vocabulary.writer()
                        .size("tokenizer.ggml.eos_token_id", 2)
                        .size("tokenizer.ggml.eot_token_id", 3)),
              ElementsAre(1, 2, 3));
}

TEST(Tokenizer, RefusesByName) {
  EXPECT_THAT(refusal(Vocabulary{.kind = "t5"}.writer()), HasSubstr("tokenizer 't5'"));
  EXPECT_THAT(refusal(Vocabulary{.pre = "tekken"}.writer()), HasSubstr("pre-tokenizer 'tekken'"));
  EXPECT_THAT(refusal(GgufWriter()), HasSubstr("tokenizer.ggml.model"));
  EXPECT_THAT(refusal(Vocabulary{.tokens = {}, .types = {}, .merges = {}}.writer()),
              HasSubstr("0 tokens"));
  EXPECT_THAT(refusal(Vocabulary{.types = {1}}.writer()), HasSubstr("8 tokens, but 1 token types"));
  EXPECT_THAT(refusal(Vocabulary{.types = {1, 1, 1, 6, 1, 3, 4, 3}}.writer()),
              HasSubstr("token 3 'ab' is of type 6"));
  for (const char* merge : {"a", "a z", "b a", " a", "a ", "a b c"}) {
    EXPECT_THAT(refusal(Vocabulary{.merges = {"a b", merge}}.writer()), HasSubstr("merge 1"))
        << merge;
  }
  EXPECT_THAT(refusal(Vocabulary().writer().size("tokenizer.ggml.eos_token_id", 8)),
              HasSubstr("the vocabulary has 8 tokens"));
  EXPECT_THAT(refusal(Vocabulary().writer().pair("tokenizer.ggml.add_eos_token",
                                                 GgufWriter::boolean, std::uint8_t{1})),
              HasSubstr("there is no eos_token_id"));
}

TEST(Tokenizer, NamesTheByteThatIsNotUtf8) {
  const auto tokenizer = tiny("smollm-tied-f16");
  for (const auto& [text, at] : {std::pair{"\xff", "byte 0"},
                                 {"ab\xc3", "byte 2"},
                                 {"\xed\xa0\x80", "byte 0"},
                                 {"é\xf0\x9f\x99", "byte 2"}}) {
    try {
      tokenizer->encode(text, {});
      FAIL() << "not refused: " << text;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(at));
    }
  }
}

// Characters of every kind that the pre-tokenizers tell apart.
std::string random_text(std::mt19937_64& random, int characters) {
  constexpr std::u32string_view kAlphabet =
      U"aZé日йع  \t\n\r\u00a0\u2003\u180e\u0085'’0٣Ⅷ½!-_<|>{}\u0301🙂\U0001d400";
  std::string text;
  for (int i = 0; i < characters; ++i) append_utf8(text, kAlphabet[random() % kAlphabet.size()]);
  return text;
}

TEST(Tokenizer, DecodingUndoesEncodingWhereEveryByteHasAToken) {
  const auto tokenizer = tiny("llama-rope3-tied-bf16");  // all 256 bytes
  std::mt19937_64 random(4);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = random_text(random, static_cast<int>(random() % 60));
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, {}), false), text);
  }
}

// A quadratic step on a megabyte takes longer than ctest's time limit. "" is a unigram model.
class MegabyteOfOneWord : public testing::TestWithParam<const char*> {};

std::unique_ptr<Tokenizer> unigram() {
  const tests::TempDir folder;
  std::string pieces;
  for (const char* piece : {"<unk>", "a", "aa", "aaaa", "\u2581", "\u2581\u2581", "7", "77", "é"}) {
    pieces += (pieces.empty() ? "[\"" : ",[\"") + std::string(piece) + "\",-1.5]";
  }
  folder.write("tokenizer.json",
               R"({"model": {"type": "Unigram", "unk_id": 0, "vocab": [)" + pieces + R"(]},
                   "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581"},
                   "decoder": {"type": "Metaspace", "replacement": "\u2581"}})");
  return Tokenizer::from_folder(folder.path());
}

TEST_P(MegabyteOfOneWord, IsEncodedAndDecoded) {
  const std::string model = GetParam();
  const auto tokenizer =
      model.empty() ? unigram()
      : model.ends_with(".gguf")
          ? Tokenizer::from_gguf(model::Gguf::open(SLUICE_TEST_VOCABULARIES "/" + model))
          : Tokenizer::from_folder(std::string(SLUICE_TEST_DATA) + "/tiny/" + model);
  // The last are marks in the wrong order: composing sorts them.
  for (const std::string_view unit : {"a", " ", "7", "\n", "\u0301\u0316"}) {
    std::string text;
    while (text.size() < 1 << 20) text += unit;
    const Ids ids = tokenizer->encode(text, {});
    EXPECT_LE(ids.size(), text.size() + 1);
    const std::string decoded = tokenizer->decode(ids, false);
    // What has no token becomes another, or nothing; marks are put in order.
    if (unit == "a" || unit == "7") {
      EXPECT_EQ(decoded, text) << unit;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MegabyteOfOneWord,
                         testing::Values("llama-rope3-tied-bf16", "smollm-tied-f16", "qwen3-f16",
                                         "llama-untied-f32", "mistral-bf16", "gemma3-f32",
                                         "ggml-vocab-llama-spm.gguf", ""),
                         [](const auto& model) {
                           std::string name = *model.param ? model.param : "unigram";
                           std::ranges::replace_if(
                               name, [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

// Where strings are found in the whole text, however it is cut into tokens.
TEST(StopStrings, AreFoundAcrossTokens) {
  const auto bytes = tiny("llama-rope3-tied-bf16");
  const auto found = [&](const std::string& text, std::vector<std::string> strings) {
    StopStrings stop(*bytes, std::move(strings));
    for (const auto id : bytes->encode(text, {})) {
      if (const auto at = stop.push(id)) return *at;
    }
    return std::string::npos;
  };
  const std::string text = "One two three, then four and a long word: counterrevolutionaries.";
  for (const std::string string :
       {"One", "e two thr", ",", "then", "unterrevolution", "s.", "w", " and a long word: count"}) {
    EXPECT_EQ(found(text, {string}), text.find(string)) << string;
    EXPECT_EQ(found(text, {"zzz", string, text + "!"}), text.find(string)) << string;
  }
  EXPECT_EQ(found(text, {"four", "two"}), text.find("two"));
  EXPECT_EQ(found(text, {"fourth", text + "!"}), std::string::npos);
  const std::string smile = "ab \U0001f642\U0001f642 cd";
  EXPECT_EQ(found(smile, {"\U0001f642 c"}), smile.find("\U0001f642 c"));
}

TEST(Detokenizer, HoldsBackNoMoreThanItMust) {
  const auto push_all = [](const Tokenizer& tokenizer, const Ids& ids) {
    Detokenizer detokenizer(tokenizer, false);
    std::vector<std::string> parts;
    for (const auto id : ids) parts.push_back(detokenizer.push(id));
    parts.push_back(detokenizer.finish());
    return parts;
  };
  const auto bytes = tiny("llama-rope3-tied-bf16");
  const Ids smile = bytes->encode("\U0001f642", {});
  ASSERT_EQ(smile.size(), 3u);
  EXPECT_THAT(push_all(*bytes, smile), ElementsAre("", "", "\U0001f642", ""));
  EXPECT_THAT(push_all(*bytes, {smile[0], smile[1], smile[0]}),
              ElementsAre("", "", "\uFFFD", "\uFFFD"));

  // A run of byte tokens is text only as a whole.
  const auto fallback =
      Tokenizer::from_folder(std::string(SLUICE_TEST_DATA) + "/tiny/llama-untied-f32");
  const Ids ids = fallback->encode("a \U0001f642a", {});
  EXPECT_THAT(push_all(*fallback, ids), testing::AllOf(testing::Contains("\U0001f642a"),
                                                       testing::Not(testing::Contains(" a"))));
  EXPECT_THAT(push_all(*fallback, Ids(ids.begin(), ids.end() - 2)).back(), "\uFFFD\uFFFD\uFFFD");
}

}  // namespace
}  // namespace sluice::worker::text
