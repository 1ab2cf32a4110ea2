// Token ids of texts and chats, and texts of token ids, as the model's own tokenizer and chat
// template give them: `sluice-worker tokenize` and `detokenize`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "worker/text/tokenizer.h"

namespace sluice::worker {

struct TokenizeOptions {
  std::filesystem::path model = {};      // a GGUF file, or a Hugging Face folder
  std::optional<std::string> text = {};  // one text; else a line {"id", "text" | "messages"} of
                                         // `file` each
  std::filesystem::path file = {};
  text::EncodeOptions encode = {};           // of texts
  bool chat = false;                         // a text is a user's turn
  bool raw = false;                          // no line may be a chat
  std::filesystem::path chat_template = {};  // empty: the model's own
};

struct DetokenizeOptions {
  std::filesystem::path model = {};
  std::vector<std::int32_t> ids = {};  // of one text; else a line {"id", "ids"} of `file` each
  std::filesystem::path file = {};
  bool skip_special = false;
};

// A line {"id", "ids"} for each text or chat, in order; a missing id is the 1-based line number.
// Throws worker::Error with the file and line when one cannot be encoded.
int tokenize(const TokenizeOptions& options, std::ostream& out);

// A line {"id", "text"} for each list of ids, in the same way; ids that are no tokens have no text.
int detokenize(const DetokenizeOptions& options, std::ostream& out);

}  // namespace sluice::worker
