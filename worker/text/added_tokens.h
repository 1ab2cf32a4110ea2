// Tokens that stand in a text as they are spelled and are cut out of it before anything else: at
// each place the longest. Immutable once filled; find may be called from several threads.
// Source: Hugging Face tokenizers, AddedToken and AddedVocabulary.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "worker/text/trie.h"

namespace sluice::worker::text {

// A longer token is refused: finding tokens may take this many steps for each byte of a text.
inline constexpr std::size_t kAddedTokenBytesMax = 1024;

class AddedTokens {
 public:
  struct Token {
    std::int32_t id = 0;
    bool special = false;       // counts only where special tokens are parsed
    bool single_word = false;   // not within a word: no letter, mark, digit or '_' beside it
    bool strips_left = false;   // takes the white space before it along
    bool strips_right = false;  // and that behind it
  };
  // Of tokens with the same text the first counts. Throws worker::Error when the text is too long;
  // one that is empty is nowhere found.
  void add(std::string_view text, const Token& token);

  struct Match {
    // With the white space that it takes along; nothing is left where an earlier token took all.
    std::size_t begin = 0, end = 0;
    std::size_t bare_end = 0;  // of the token's own text: where to look for the next one
    std::int32_t id = 0;
  };
  // The first token that begins at or after `from`; special ones only `with_special`. What lies
  // before `taken` belongs to earlier tokens. Time: bytes passed over, times the longest token at
  // most. Requires: text is valid UTF-8.
  std::optional<Match> find(std::string_view text, std::size_t from, std::size_t taken,
                            bool with_special) const;

 private:
  std::optional<Match> longest_at(std::string_view text, std::size_t begin,
                                  bool with_special) const;

  std::vector<Token> tokens_;
  Trie trie_;                          // of indices into tokens_
  std::array<bool, 256> starts_ = {};  // nearly every place is ruled out by its byte
};

}  // namespace sluice::worker::text
