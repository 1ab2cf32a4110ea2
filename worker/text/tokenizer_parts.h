// What a Tokenizer is assembled of; its readers fill it in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "worker/text/added_tokens.h"
#include "worker/text/bpe.h"
#include "worker/text/decoder.h"
#include "worker/text/normalizer.h"
#include "worker/text/pre_tokenizer.h"
#include "worker/text/sentence_piece_bpe.h"
#include "worker/text/tokenizer.h"
#include "worker/text/unigram.h"
#include "worker/text/vocabulary.h"

namespace sluice::worker::text {

using TokenModel = std::variant<std::monostate, Bpe, SentencePieceBpe, Unigram>;

struct TokenizerParts {
  std::string kind, pre_tokenizer_name;  // for people
  std::shared_ptr<const Vocabulary> vocabulary;
  std::vector<bool> is_special;         // by id: decoding can skip it
  AddedTokens added_tokens;             // found in the text as it is
  AddedTokens normalized_added_tokens;  // found in normalized text
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  TokenModel model;  // never std::monostate once read
  Decoder decoder;
  std::vector<std::int32_t> prefix, suffix;  // ids around a text: BOS, EOS
  std::optional<std::int32_t> bos;
  std::vector<StopToken> stop_tokens;
};

}  // namespace sluice::worker::text
