// Byte-pair encoding as SentencePiece does it: any neighbours whose texts make a token together may
// be joined, the token of the highest score first. Immutable; encode may be called from several
// threads.
// Sources: SentencePiece, bpe_model.cc; llama.cpp, llm_tokenizer_spm.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "worker/text/vocabulary.h"

namespace sluice::worker::text {

class SentencePieceBpe {
 public:
  // `scores` by id; `unknown`: of a character that neither is a token nor has bytes that are.
  // Requires: no score is NaN.
  SentencePieceBpe(std::shared_ptr<const Vocabulary> vocabulary, std::vector<float> scores,
                   std::int32_t unknown);

  // Appends the ids of `word`. Time n log n, times the length of tokens.
  // Requires: word is valid UTF-8 of fewer than 2^31 bytes.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  std::vector<float> scores_;
  std::int32_t unknown_;
  std::size_t longest_ = 0;  // bytes of the longest token
  ByteTokens byte_tokens_;
};

}  // namespace sluice::worker::text
