// The model of tokenizer.json. Its vocabulary and merges are nearly the whole of the file; they are
// taken while it is parsed and never stand in memory as JSON.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/json_value.h"
#include "worker/text/tokenizer_parts.h"

namespace sluice::worker::text {

class TokenModelReader {
 public:
  // For the JsonDocument; this must outlive it. They throw worker::Error.
  JsonDocument::Takers takers();

  // Of the model's vocabulary, in the file's order. Ids are not checked.
  using Tokens = std::vector<std::pair<std::string, std::int64_t>>;
  const Tokens& tokens() const { return tokens_; }

  // `json`: the key "model". Throws worker::Error: a kind or an option that is not supported, a
  // merge of what are no tokens.
  TokenModel build(const JsonValue& json, std::shared_ptr<const Vocabulary> vocabulary) const;

 private:
  void take_token(std::string_view text, const JsonValue& element);
  void take_merge(const JsonValue& element);
  Bpe bpe(const JsonValue& json, std::shared_ptr<const Vocabulary> vocabulary) const;
  Unigram unigram(const JsonValue& json, const Vocabulary& vocabulary) const;
  MergeTable merges(const JsonValue& json, const Vocabulary& vocabulary) const;

  Tokens tokens_;
  std::vector<double> scores_;  // of a unigram model, as tokens_
  struct MergeSizes {
    std::uint32_t left = 0, right = 0;
  };
  std::vector<MergeSizes> merge_sizes_;
  std::string merge_texts_;  // one after the other
};

}  // namespace sluice::worker::text
