// Tokenizers from GGUF metadata (ggml, docs/gguf.md; llama.cpp, llama-vocab.cpp).
#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <utility>

#include "worker/error.h"
#include "worker/model/gguf.h"
#include "worker/model/printable.h"
#include "worker/text/byte_alphabet.h"
#include "worker/text/gguf_pre_tokenizers.h"
#include "worker/text/stop_tokens.h"
#include "worker/text/tokenizer_parts.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

constexpr std::string_view kSpace = "\u2581";  // how SentencePiece spells U+0020
constexpr std::array kEndKeys = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                 "tokenizer.ggml.eom_token_id"};

// tokenizer.ggml.token_type (llama.cpp, enum llama_token_type).
enum class TokenType {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

bool is_special(TokenType type) { return type == TokenType::control || type == TokenType::unknown; }
bool is_added(TokenType type) { return is_special(type) || type == TokenType::user_defined; }

[[noreturn]] void fail(const model::Gguf& file, const std::string& what) {
  throw Error(file.path().string() + ": " + what);
}

template <class Value>
Value required(const model::Gguf& file, std::string_view key, Value value) {
  if (value) return value;
  fail(file, "metadata " + model::printable(key) + " is missing; convert the model again");
}

std::string token_name(std::size_t id, std::string_view text) {
  return "token " + std::to_string(id) + " " + model::printable(text);
}

std::optional<std::int32_t> token_id(const model::Gguf& file, std::string_view key, int tokens) {
  const auto id = file.integer(key);
  if (!id) return std::nullopt;
  if (*id < 0 || *id >= tokens) {
    fail(file, "metadata '" + std::string(key) + "' is " + std::to_string(*id) +
                   ", but the vocabulary has " + std::to_string(tokens) +
                   " tokens; convert the model again");
  }
  return static_cast<std::int32_t>(*id);
}

const std::vector<std::string>& read_texts(const model::Gguf& file) {
  const auto& texts =
      *required(file, "tokenizer.ggml.tokens", file.strings("tokenizer.ggml.tokens"));
  if (texts.empty() || !std::in_range<std::int32_t>(texts.size())) {
    fail(file, "a vocabulary of " + std::to_string(texts.size()) + " tokens");
  }
  return texts;
}

std::vector<TokenType> read_types(const model::Gguf& file, const std::vector<std::string>& texts,
                                  TokenType last) {
  const auto* codes = file.integers("tokenizer.ggml.token_type");
  if (!codes) return std::vector<TokenType>(texts.size(), TokenType::normal);
  if (codes->size() != texts.size()) {
    fail(file, std::to_string(texts.size()) + " tokens, but " + std::to_string(codes->size()) +
                   " token types; convert the model again");
  }
  std::vector<TokenType> types;
  types.reserve(texts.size());
  for (std::size_t id = 0; id < texts.size(); ++id) {
    const std::int64_t code = (*codes)[id];
    if (code < 1 || code > static_cast<std::int64_t>(last)) {
      fail(file, token_name(id, texts[id]) + " is of type " + std::to_string(code) +
                     ", which such a vocabulary does not have");
    }
    types.push_back(static_cast<TokenType>(code));
  }
  return types;
}

// Vocabulary, added and special tokens. Texts of added tokens stand in the text as they are; where
// the others are spelled in the byte alphabet, they are too, for the decoder.
void add_vocabulary(TokenizerParts& parts, const model::Gguf& file,
                    const std::vector<std::string>& texts, const std::vector<TokenType>& types,
                    bool spelled_in_alphabet) {
  std::vector<std::string> spelled = texts;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    parts.is_special.push_back(is_special(types[i]));
    if (!is_added(types[i])) continue;
    if (find_invalid_utf8(texts[i])) fail(file, token_name(i, texts[i]) + " is not UTF-8");
    try {
      parts.added_tokens.add(texts[i],
                             {.id = static_cast<std::int32_t>(i), .special = is_special(types[i])});
    } catch (const Error& error) {
      fail(file, error.what());
    }
    if (spelled_in_alphabet) spelled[i] = spell_in_alphabet(texts[i]);
  }
  Vocabulary vocabulary(std::move(spelled));
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    if (!is_added(types[id]) && vocabulary.contains(id)) vocabulary.make_findable(id);
  }
  parts.vocabulary = std::make_shared<const Vocabulary>(std::move(vocabulary));
}

void add_bos_and_eos(TokenizerParts& parts, const model::Gguf& file, bool adds_bos_by_default) {
  const int tokens = parts.vocabulary->size();
  parts.bos = token_id(file, "tokenizer.ggml.bos_token_id", tokens);
  const auto add_bos = file.boolean("tokenizer.ggml.add_bos_token");
  if (add_bos.value_or(false) && !parts.bos) {
    fail(file, "metadata 'tokenizer.ggml.add_bos_token' is true, but there is no bos_token_id");
  }
  if (parts.bos && add_bos.value_or(adds_bos_by_default)) parts.prefix = {*parts.bos};

  const auto eos = token_id(file, "tokenizer.ggml.eos_token_id", tokens);
  if (!file.boolean("tokenizer.ggml.add_eos_token").value_or(false)) return;
  if (!eos) {
    fail(file, "metadata 'tokenizer.ggml.add_eos_token' is true, but there is no eos_token_id");
  }
  parts.suffix = {*eos};
}

void add_stop_tokens(TokenizerParts& parts, const model::Gguf& file,
                     const std::vector<std::string>& texts, const std::vector<TokenType>& types) {
  std::map<std::int32_t, std::string> named;
  for (const char* key : kEndKeys) {
    if (const auto id = token_id(file, key, parts.vocabulary->size())) named.try_emplace(*id, key);
  }
  std::vector<std::int32_t> control_tokens;
  for (std::size_t id = 0; id < types.size(); ++id) {
    if (types[id] == TokenType::control) control_tokens.push_back(static_cast<std::int32_t>(id));
  }
  parts.stop_tokens = find_stop_tokens(named, texts, control_tokens);
}

MergeTable read_merges(const model::Gguf& file, const Vocabulary& vocabulary) {
  const auto& lines =
      *required(file, "tokenizer.ggml.merges", file.strings("tokenizer.ggml.merges"));
  std::vector<MergeTable::Merge> merges;
  merges.reserve(lines.size());
  std::string joined;
  for (const std::string& line : lines) {
    const std::size_t space = std::min(line.find(' '), line.size());
    const auto left = std::string_view(line).substr(0, space);
    const auto right = std::string_view(line).substr(std::min(space + 1, line.size()));
    joined.assign(left).append(right);
    const MergeTable::Merge merge = {vocabulary.find(left), vocabulary.find(right),
                                     vocabulary.find(joined)};
    if (merge.left == kNoToken || merge.right == kNoToken || merge.joined == kNoToken) {
      fail(file, "merge " + std::to_string(merges.size()) + " " + model::printable(line) +
                     " is not of tokens in the vocabulary; convert the model again");
    }
    merges.push_back(merge);
  }
  return MergeTable(merges);
}

std::vector<float> read_scores(const model::Gguf& file, std::size_t tokens) {
  const auto& values =
      *required(file, "tokenizer.ggml.scores", file.numbers("tokenizer.ggml.scores"));
  if (values.size() != tokens) {
    fail(file, std::to_string(tokens) + " tokens, but " + std::to_string(values.size()) +
                   " scores; convert the model again");
  }
  std::vector<float> scores;
  scores.reserve(values.size());
  for (const double value : values) {
    if (!(value >= -3e38 && value <= 3e38)) {
      fail(file, "the score of token " + std::to_string(scores.size()) + " is no number");
    }
    scores.push_back(static_cast<float>(value));
  }
  return scores;
}

TokenizerParts byte_level_bpe(const model::Gguf& file) {
  const std::string name = *required(file, "tokenizer.ggml.pre", file.string("tokenizer.ggml.pre"));
  NamedPreTokenizer named = [&] {
    try {
      return find_pre_tokenizer(name);
    } catch (const Error& error) {
      fail(file, error.what());
    }
  }();
  const auto& texts = read_texts(file);
  const auto types = read_types(file, texts, TokenType::unused);
  TokenizerParts parts;
  parts.kind = "byte-level BPE";
  parts.pre_tokenizer_name = name;
  add_vocabulary(parts, file, texts, types, true);
  parts.normalizer = std::move(named.normalizer);
  parts.pre_tokenizer = std::move(named.pre_tokenizer);
  parts.model = Bpe(parts.vocabulary, read_merges(file, *parts.vocabulary),
                    {.ignores_merges = named.ignores_merges});
  parts.decoder = Decoder({Decoder::ByteLevel{}});
  add_bos_and_eos(parts, file, named.adds_bos);
  add_stop_tokens(parts, file, texts, types);
  return parts;
}

TokenizerParts sentence_piece_bpe(const model::Gguf& file) {
  const auto& texts = read_texts(file);
  const auto types = read_types(file, texts, TokenType::byte);
  TokenizerParts parts;
  parts.kind = "SentencePiece BPE";
  parts.pre_tokenizer_name = "none";
  add_vocabulary(parts, file, texts, types, false);
  const auto unknown = token_id(file, "tokenizer.ggml.unknown_token_id", parts.vocabulary->size());
  parts.model = SentencePieceBpe(parts.vocabulary, read_scores(file, texts.size()),
                                 unknown.value_or(kNoToken));

  std::vector<Normalizer::Step> normalizer;
  std::vector<Decoder::Step> decoder = {Decoder::Replace{std::string(kSpace), " "},
                                        Decoder::ByteFallback{}, Decoder::Fuse{}};
  if (file.boolean("tokenizer.ggml.add_space_prefix").value_or(true)) {
    normalizer.emplace_back(Normalizer::Prepend{std::string(kSpace)});
    decoder.emplace_back(Decoder::Strip{" ", 1});
  }
  normalizer.emplace_back(Normalizer::Replace{Regex::literal(" "), std::string(kSpace)});
  parts.normalizer = Normalizer(std::move(normalizer));
  parts.decoder = Decoder(std::move(decoder));
  add_bos_and_eos(parts, file, true);
  add_stop_tokens(parts, file, texts, types);
  return parts;
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_gguf(const model::Gguf& file) {
  const std::string kind =
      *required(file, "tokenizer.ggml.model", file.string("tokenizer.ggml.model"));
  if (kind == "gpt2") return std::make_unique<Tokenizer>(byte_level_bpe(file));
  if (kind == "llama") return std::make_unique<Tokenizer>(sentence_piece_bpe(file));
  fail(file, "tokenizer " + model::printable(kind) +
                 " is not supported by this version (supported: gpt2, byte-level BPE; llama, "
                 "SentencePiece BPE)");
}

}  // namespace sluice::worker::text
