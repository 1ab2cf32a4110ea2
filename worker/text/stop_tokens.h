// Which tokens end an answer: those that the model's files name, and the control tokens that end a
// turn or a text in the same family of chat formats.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "worker/text/tokenizer.h"

namespace sluice::worker::text {

// `named`: id -> where the files name it; `control_tokens`: ids of special tokens. By id, each
// once. Requires: ids are of the vocabulary.
std::vector<StopToken> find_stop_tokens(const std::map<std::int32_t, std::string>& named,
                                        const std::vector<std::string>& texts,
                                        std::span<const std::int32_t> control_tokens);

}  // namespace sluice::worker::text
