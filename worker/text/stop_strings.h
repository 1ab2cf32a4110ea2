// Watches the text of an answer, token by token, for strings that end it. A string may begin in one
// token and end in another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/text/detokenizer.h"

namespace sluice::worker::text {

class StopStrings {
 public:
  // Requires: no string is empty. `tokenizer` must live as long.
  StopStrings(const Tokenizer& tokenizer, std::vector<std::string> strings);

  // With the next token: where the first string begins that is now complete, in bytes of the text
  // so far (special tokens left out). Where one token completes several, the one that begins first.
  std::optional<std::size_t> push(std::int32_t id);

 private:
  std::vector<std::string> strings_;
  std::size_t longest_ = 0;
  Detokenizer detokenizer_;
  std::string tail_;        // of the text: as much as a string may begin in
  std::size_t passed_ = 0;  // bytes before it
};

}  // namespace sluice::worker::text
