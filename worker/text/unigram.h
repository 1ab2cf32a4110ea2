// The unigram language model (Kudo 2018): of all ways to cut a word into tokens, the one of the
// highest sum of scores. Immutable; encode may be called from several threads.
// Sources: SentencePiece, unigram_model.cc, EncodeOptimized; Hugging Face tokenizers,
// models/unigram.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "worker/text/trie.h"
#include "worker/text/vocabulary.h"

namespace sluice::worker::text {

// Longer tokens are refused: encoding may take this many steps for each byte of a text.
inline constexpr std::size_t kUnigramTokenBytesMax = 1024;

class Unigram {
 public:
  struct Rules {
    std::int32_t unknown = kNoToken;  // of a run of characters that no token covers
    bool falls_back_to_bytes = false;
  };
  // `scores` by id: natural logarithms of probabilities. Throws worker::Error: a token too long.
  // Requires: all scores are finite; each is of an id of the vocabulary.
  Unigram(const Vocabulary& vocabulary, std::vector<double> scores, const Rules& rules);

  // Appends the ids of `word`. Time linear, times the length of tokens. Throws worker::Error when
  // an unknown token is needed and there is none.
  // Requires: word is valid UTF-8 of fewer than 2^31 bytes.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  struct Step;
  std::vector<Step> best_path(std::string_view word) const;
  std::int32_t find(std::string_view text) const;

  std::vector<double> scores_;
  Rules rules_;
  double unknown_score_ = 0;
  ByteTokens byte_tokens_;
  Trie tokens_;
};

}  // namespace sluice::worker::text
