// Cuts text into the words within which BPE merges, by the rule that the model's file names.
// Immutable; split may be called from several threads.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::worker::text {

class PreTokenizer {
 public:
  // `name` as tokenizer.ggml.pre has it; throws worker::Error when it is not supported.
  explicit PreTokenizer(std::string_view name);
  ~PreTokenizer();

  // Calls `word` with each word in order; together they are the text.
  // Requires: text is valid UTF-8. Throws worker::Error when PCRE2 gives up (out of memory).
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

  // A word that is in the vocabulary as a whole is one token, whatever the merges say.
  bool ignores_merges() const;
  // What add_bos_token is where the file does not say.
  bool adds_bos_by_default() const;

 private:
  struct Rule;
  struct Regex;
  static const Rule& find_rule(std::string_view name);

  const Rule& rule_;
  std::unique_ptr<const Regex> regex_;
};

}  // namespace sluice::worker::text
