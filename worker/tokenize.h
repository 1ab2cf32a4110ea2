// Token ids of texts, as the model's own tokenizer gives them: `sluice-worker tokenize`.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

#include "worker/text/tokenizer.h"

namespace sluice::worker {

struct TokenizeOptions {
  std::filesystem::path model = {};
  std::optional<std::string> text = {};  // one text; else a line {"id", "text"} of `file` each
  std::filesystem::path file = {};
  text::EncodeOptions encode = {};
};

// A line {"id", "ids"} for each text, in order; a missing id is the 1-based line number. Throws
// worker::Error with the file and line when one cannot be encoded.
int tokenize(const TokenizeOptions& options, std::ostream& out);

}  // namespace sluice::worker
