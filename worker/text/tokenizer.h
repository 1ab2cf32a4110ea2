// Text to token ids and back, with the vocabulary, merges and pre-tokenizer of the model's file.
// Immutable after construction; encode and decode may be called from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::worker::model {
class Gguf;
}

namespace sluice::worker::text {

struct EncodeOptions {
  bool add_bos = false;       // put BOS before the text if the file says that the model wants it
  bool parse_special = true;  // special tokens spelled in the text are recognised
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Throws worker::Error: a tokenizer kind or pre-tokenizer that is not supported (by name), or
  // metadata that contradicts itself.
  static std::unique_ptr<Tokenizer> from_gguf(const model::Gguf& file);

  // Ids of valid UTF-8; throws worker::Error with the byte offset when it is not. Time and memory
  // linear in the text (times a logarithm).
  virtual std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options) const = 0;

  // Text of ids; each maximal invalid UTF-8 sequence becomes U+FFFD. Ids that are no tokens have no
  // text: embeddings are often padded with rows beyond the vocabulary, and a model may choose one.
  virtual std::string decode(std::span<const std::int32_t> ids, bool skip_special) const = 0;

  virtual int size() const = 0;  // tokens in the vocabulary
  virtual std::optional<std::int32_t> bos() const = 0;
  virtual bool adds_bos() const = 0;
  virtual const std::string& pre_tokenizer() const = 0;  // "smollm", "llama-bpe", ...

  struct StopToken {
    std::int32_t id = 0;
    std::string text;
    std::string why;  // "tokenizer.ggml.eos_token_id", ...
  };
  // The tokens that end an answer, with where each comes from, by id.
  virtual const std::vector<StopToken>& stop_tokens() const = 0;
};

}  // namespace sluice::worker::text
