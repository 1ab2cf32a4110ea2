// The pre-tokenizers that GGUF files know by name alone (tokenizer.ggml.pre), and what else the
// name tells.
// Sources: llama.cpp, llama-vocab.cpp; the models' tokenizer.json for what that leaves out.
#pragma once

#include <string_view>

#include "worker/text/normalizer.h"
#include "worker/text/pre_tokenizer.h"

namespace sluice::worker::text {

struct NamedPreTokenizer {
  PreTokenizer pre_tokenizer;
  Normalizer normalizer;
  bool ignores_merges = false;  // a word that is a token as a whole is that token
  bool adds_bos = false;        // where add_bos_token is not said
};

// Throws worker::Error with the names that are supported.
NamedPreTokenizer find_pre_tokenizer(std::string_view name);

}  // namespace sluice::worker::text
