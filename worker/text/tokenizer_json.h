// Tokenizers from Hugging Face's tokenizer.json (tokenizers 0.23).
#pragma once

#include <filesystem>

#include "worker/text/tokenizer_parts.h"

namespace sluice::worker::text {

// All parts but the stop tokens; `bos` where the file adds one. Throws worker::Error with the file,
// the key and the reason.
TokenizerParts read_tokenizer_json(const std::filesystem::path& path);

}  // namespace sluice::worker::text
