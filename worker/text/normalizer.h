// What is done to a text before it is cut into words: a list of steps. Immutable; apply may be
// called from several threads.
// Source: Hugging Face tokenizers, normalizers of tokenizer.json.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "worker/json_value.h"
#include "worker/text/regex.h"
#include "worker/text/unicode.h"

namespace sluice::worker::text {

class Normalizer {
 public:
  struct Prepend {  // to every text that is not empty
    std::string text;
  };
  struct Replace {
    Regex pattern;
    std::string by;
  };
  struct Lowercase {};
  struct Strip {  // white space at the ends
    bool left = true, right = true;
  };
  using Step = std::variant<NormalForm, Prepend, Replace, Lowercase, Strip>;

  Normalizer() = default;
  explicit Normalizer(std::vector<Step> steps) : steps_(std::move(steps)) {}
  // Throws worker::Error: a step that is not supported, by name.
  static Normalizer from_json(const JsonValue& json);

  bool changes_nothing() const { return steps_.empty(); }

  // Requires: text is valid UTF-8. Throws worker::Error when the steps let the text grow out of
  // proportion, and what Regex throws.
  std::string apply(std::string_view text) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace sluice::worker::text
