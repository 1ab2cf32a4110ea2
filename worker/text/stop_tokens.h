// Which tokens end an answer: those that the file names, and the control tokens that end a turn or
// a text in the same family of chat formats.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "worker/model/gguf.h"
#include "worker/text/tokenizer.h"

namespace sluice::worker::text {

// `token` gives the text of an id; `control_tokens` are the ids of that kind. By id, each once.
// Throws worker::Error for an id outside [0, texts.size()).
std::vector<Tokenizer::StopToken> find_stop_tokens(const model::Gguf& file,
                                                   std::span<const std::string> texts,
                                                   std::span<const std::int32_t> control_tokens);

// metadata[key] as an id in [0, tokens), or nullopt when absent; throws worker::Error otherwise.
std::optional<std::int32_t> token_id(const model::Gguf& file, std::string_view key, int tokens);

}  // namespace sluice::worker::text
