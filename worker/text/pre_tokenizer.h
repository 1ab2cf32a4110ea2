// Cuts text into the words within which a model finds tokens: a list of steps, each of which takes
// the pieces of the one before. Immutable; split may be called from several threads.
// Source: Hugging Face tokenizers, pre-tokenizers of tokenizer.json.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "worker/json_value.h"
#include "worker/text/regex.h"

namespace sluice::worker::text {

// GPT-2's rule: contractions, then runs of letters, of numbers, of the rest, each with one space
// before it, then spaces, of which the last is left to the word that follows.
// Source: Radford et al. 2019, the encoder's pattern. Possessive where giving back cannot help.
inline constexpr std::string_view kGpt2Pattern =
    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s+(?!\S)|\s++)";

class PreTokenizer {
 public:
  enum class Matches {  // what becomes of what a pattern matches
    removed,
    isolated,              // each is a piece
    contiguous,            // a run of neighbours is a piece
    merged_with_previous,  // the piece before takes it, unless that is a match
    merged_with_next
  };
  struct Split {
    Regex pattern;
    Matches matches = Matches::isolated;
    bool inverted = false;  // what does not match counts as the match
  };
  struct ReplaceSpaces {  // U+0020
    std::string by;
  };
  struct Prepend {  // where it does not stand already
    std::string text;
    bool only_at_start = false;  // of the whole text
  };
  struct SpellBytes {};  // in the byte alphabet
  using Step = std::variant<Split, ReplaceSpaces, Prepend, SpellBytes>;

  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<Step> steps) : steps_(std::move(steps)) {}
  // Throws worker::Error: a step that is not supported, by name.
  static PreTokenizer from_json(const JsonValue& json);

  bool spells_bytes() const;  // words are in the byte alphabet

  // Calls `word` with each word in order; none is empty. `at_start`: the text is not preceded by
  // anything. Requires: text is valid UTF-8. Throws what Regex throws.
  using Word = std::function<void(std::string_view)>;
  void split(std::string_view text, bool at_start, const Word& word) const;

 private:
  void pass(std::size_t step, std::string_view piece, bool at_start, const Word& word) const;

  std::vector<Step> steps_;
};

}  // namespace sluice::worker::text
