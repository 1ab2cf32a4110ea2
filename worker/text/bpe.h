// Byte-pair encoding by a table of merges (Sennrich, Haddow and Birch 2016): the pair whose merge
// comes first is joined first. Over bytes where the words are spelled in the byte alphabet, over
// characters otherwise.
// Immutable; encode and merge may be called from several threads.
// Sources: Hugging Face tokenizers, models/bpe; for the byte tokens also SentencePiece.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "worker/text/join_neighbours.h"
#include "worker/text/vocabulary.h"

namespace sluice::worker::text {

class MergeTable {
 public:
  struct Merge {
    std::int32_t left = 0, right = 0, joined = 0;  // ids
  };
  // Ranks are the merges' order; where a pair stands twice, the first counts.
  explicit MergeTable(std::span<const Merge> merges);

  std::size_t size() const { return merges_.size(); }
  std::optional<Joined> find(std::int32_t left, std::int32_t right) const;

 private:
  struct Ranked {
    std::uint32_t rank = 0;
    std::int32_t joined = 0;
  };
  boost::unordered_flat_map<std::uint64_t, Ranked> merges_;  // by pair of ids
};

class Bpe {
 public:
  struct Rules {
    bool ignores_merges = false;  // a word that is a token as a whole is that token
    bool falls_back_to_bytes = false;
    std::int32_t unknown = kNoToken;  // of a character that is no token; kNoToken: it has none
    bool fuses_unknown = false;       // a run of them is one token
  };
  Bpe(std::shared_ptr<const Vocabulary> vocabulary, MergeTable merges, const Rules& rules);

  // Appends the ids of `word`. Time n log n.
  // Requires: word is valid UTF-8 of fewer than 2^31 bytes.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  std::vector<std::int32_t> characters(std::string_view word) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  MergeTable merges_;
  Rules rules_;
  ByteTokens byte_tokens_;
};

// Joins `word` in place.
void merge(const MergeTable& merges, std::vector<std::int32_t>& word);

}  // namespace sluice::worker::text
