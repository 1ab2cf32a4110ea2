// Text to token ids and back, as the model's own tokenizer does it: normalizer, added tokens,
// pre-tokenizer, model, the tokens around a text, decoder. They come from a GGUF file's metadata or
// from a Hugging Face folder.
// Immutable after construction; encode and decode may be called from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
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

struct TokenizerParts;

// Memory taken for a tokenizer, and while it is read, stays below this many bytes for each byte of
// its file, beside the base. The worst are short tokens: strings, and nodes of hash tables.
inline constexpr std::uint64_t kTokenizerMemoryPerFileByteMax = 160;
inline constexpr std::uint64_t kTokenizerMemoryBase = 1 << 20;

struct EncodeOptions {
  bool add_bos = false;       // put around the text what the file says that the model wants: BOS
  bool parse_special = true;  // special tokens spelled in the text are recognised
};

struct StopToken {
  std::int32_t id = 0;
  std::string text;
  std::string why;  // "tokenizer.ggml.eos_token_id", ...
};

class Tokenizer {
 public:
  // Throw worker::Error: a kind of tokenizer, or a part of one, that is not supported (by name), or
  // a file that contradicts itself; with the file and the key.
  static std::unique_ptr<Tokenizer> from_gguf(const model::Gguf& file);
  // tokenizer.json, and what the other files of the folder say of BOS and of the ends of answers.
  static std::unique_ptr<Tokenizer> from_folder(const std::filesystem::path& folder);

  explicit Tokenizer(TokenizerParts parts);
  ~Tokenizer();

  // Ids of valid UTF-8; throws worker::Error with the byte offset when it is not. Time and memory
  // linear in the text (times a logarithm).
  std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options) const;

  // Text of ids, always UTF-8: bytes that are not become U+FFFD. Ids that are no tokens have no
  // text: embeddings are often padded with rows beyond the vocabulary, and a model may choose one.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special) const;

  // The text of one token as it is within a text, special ones too: of a part of a character,
  // U+FFFD.
  std::string piece(std::int32_t id) const;

  int size() const;  // ids in the vocabulary
  std::optional<std::int32_t> bos() const;
  bool adds_bos() const;
  const std::string& kind() const;           // "byte-level BPE", ...; for people
  const std::string& pre_tokenizer() const;  // "smollm", "llama-bpe", ...; "tokenizer.json"

  // The tokens that end an answer, with where each comes from, by id.
  using StopToken = text::StopToken;
  const std::vector<StopToken>& stop_tokens() const;

 private:
  friend class Detokenizer;
  std::unique_ptr<const TokenizerParts> parts_;
};

}  // namespace sluice::worker::text
