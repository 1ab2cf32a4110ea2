#include "worker/text/tokenizer.h"

#include <array>
#include <limits>
#include <unordered_map>
#include <utility>

#include "worker/error.h"
#include "worker/model/gguf.h"
#include "worker/model/printable.h"
#include "worker/text/bpe.h"
#include "worker/text/byte_alphabet.h"
#include "worker/text/pre_tokenizer.h"
#include "worker/text/special_tokens.h"
#include "worker/text/stop_tokens.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

constexpr std::int32_t kNoToken = -1;

// tokenizer.ggml.token_type (llama.cpp, enum llama_token_type).
enum class TokenType {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

bool is_special(TokenType type) { return type == TokenType::control || type == TokenType::unknown; }

class ByteLevelBpe final : public Tokenizer {
 public:
  explicit ByteLevelBpe(const model::Gguf& file);

  std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options) const override;
  std::string decode(std::span<const std::int32_t> ids, bool skip_special) const override;
  int size() const override { return static_cast<int>(bytes_.size()); }
  std::optional<std::int32_t> bos() const override { return bos_; }
  bool adds_bos() const override { return adds_bos_; }
  const std::string& pre_tokenizer() const override { return pre_tokenizer_name_; }
  const std::vector<StopToken>& stop_tokens() const override { return stop_tokens_; }

 private:
  void read_vocabulary(const model::Gguf& file);
  void read_merges(const model::Gguf& file);
  void read_bos(const model::Gguf& file);
  std::int32_t find(std::string_view bytes) const;
  // Appends the ids of text in which no special token counts.
  void encode_plain(std::string_view text, std::vector<std::int32_t>& ids) const;
  void encode_word(std::string_view word, std::vector<std::int32_t>& ids) const;

  std::string pre_tokenizer_name_;
  PreTokenizer pre_tokenizer_;
  std::vector<std::string> bytes_;  // what each token stands for
  std::vector<TokenType> types_;
  std::unordered_map<std::string_view, std::int32_t> ids_;  // of the normal tokens, by their bytes
  std::array<std::int32_t, 256> byte_ids_;  // of single bytes; kNoToken: in no token
  SpecialTokens special_tokens_;            // control and user-defined
  SpecialTokens user_defined_tokens_;
  Bpe bpe_{{}};
  std::optional<std::int32_t> bos_;
  bool adds_bos_ = false;
  std::vector<StopToken> stop_tokens_;
};

[[noreturn]] void fail(const model::Gguf& file, const std::string& what) {
  throw Error(file.path().string() + ": " + what);
}

const std::vector<std::string>& required_strings(const model::Gguf& file, std::string_view key) {
  const auto* values = file.strings(key);
  if (!values)
    fail(file, "metadata " + model::printable(key) + " is missing; convert the model again");
  return *values;
}

std::string required_string(const model::Gguf& file, std::string_view key) {
  auto value = file.string(key);
  if (!value)
    fail(file, "metadata " + model::printable(key) + " is missing; convert the model again");
  return *value;
}

ByteLevelBpe::ByteLevelBpe(const model::Gguf& file)
    : pre_tokenizer_name_(required_string(file, "tokenizer.ggml.pre")),
      pre_tokenizer_(pre_tokenizer_name_) {
  if (file.boolean("tokenizer.ggml.add_eos_token").value_or(false)) {
    fail(file,
         "metadata 'tokenizer.ggml.add_eos_token' is true: ending prompts with an end token "
         "is not supported by this version");
  }
  read_vocabulary(file);
  read_merges(file);
  read_bos(file);
}

void ByteLevelBpe::read_vocabulary(const model::Gguf& file) {
  const auto& texts = required_strings(file, "tokenizer.ggml.tokens");
  const auto* types = file.integers("tokenizer.ggml.token_type");
  if (texts.empty() || !std::in_range<std::int32_t>(texts.size())) {
    fail(file, "a vocabulary of " + std::to_string(texts.size()) + " tokens");
  }
  if (types && types->size() != texts.size()) {
    fail(file, std::to_string(texts.size()) + " tokens, but " + std::to_string(types->size()) +
                   " token types; convert the model again");
  }
  bytes_.reserve(texts.size());
  types_.reserve(texts.size());
  std::vector<std::int32_t> control_tokens;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    const std::string& text = texts[i];
    const std::int64_t code = types ? (*types)[i] : 1;
    if (code < 1 || code > 5) {
      fail(file, "token " + std::to_string(i) + " " + model::printable(text) + " is of type " +
                     std::to_string(code) + ", which a byte-level vocabulary does not have");
    }
    const auto type = static_cast<TokenType>(code);
    types_.push_back(type);
    if (is_special(type) || type == TokenType::user_defined) {
      bytes_.push_back(text);
      if (text.empty()) continue;
      if (find_invalid_utf8(text)) {
        fail(file, "token " + std::to_string(i) + " " + model::printable(text) + " is not UTF-8");
      }
      special_tokens_.add(text, id);
      if (type == TokenType::user_defined) user_defined_tokens_.add(text, id);
      if (type == TokenType::control) control_tokens.push_back(id);
    } else {
      // A text outside the alphabet cannot come from BPE; it is decoded as it stands.
      const auto bytes = bytes_from_alphabet(text);
      bytes_.push_back(bytes.value_or(text));
      if (bytes && !bytes->empty()) ids_.try_emplace(bytes_.back(), id);
    }
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_ids_[byte] = find({&c, 1});
  }
  stop_tokens_ = find_stop_tokens(file, texts, control_tokens);
}

void ByteLevelBpe::read_merges(const model::Gguf& file) {
  const auto& lines = required_strings(file, "tokenizer.ggml.merges");
  std::vector<Bpe::Merge> merges;
  merges.reserve(lines.size());
  for (const std::string& line : lines) {
    const auto space = line.find(' ');
    const auto left = bytes_from_alphabet(std::string_view(line).substr(0, space));
    const auto right = space == std::string::npos
                           ? std::nullopt
                           : bytes_from_alphabet(std::string_view(line).substr(space + 1));
    const Bpe::Merge merge = left && right
                                 ? Bpe::Merge{find(*left), find(*right), find(*left + *right)}
                                 : Bpe::Merge{kNoToken, kNoToken, kNoToken};
    if (merge.left == kNoToken || merge.right == kNoToken || merge.joined == kNoToken) {
      fail(file, "merge " + std::to_string(merges.size()) + " " + model::printable(line) +
                     " is not of tokens in the vocabulary; convert the model again");
    }
    merges.push_back(merge);
  }
  bpe_ = Bpe(merges);
}

void ByteLevelBpe::read_bos(const model::Gguf& file) {
  bos_ = token_id(file, "tokenizer.ggml.bos_token_id", size());
  const auto said = file.boolean("tokenizer.ggml.add_bos_token");
  if (said.value_or(false) && !bos_) {
    fail(file, "metadata 'tokenizer.ggml.add_bos_token' is true, but there is no bos_token_id");
  }
  adds_bos_ = said.value_or(pre_tokenizer_.adds_bos_by_default() && bos_);
}

std::int32_t ByteLevelBpe::find(std::string_view bytes) const {
  const auto found = ids_.find(bytes);
  return found == ids_.end() ? kNoToken : found->second;
}

std::vector<std::int32_t> ByteLevelBpe::encode(std::string_view text, EncodeOptions options) const {
  if (!std::in_range<std::int32_t>(text.size())) {
    throw Error("a text of " + std::to_string(text.size()) +
                " bytes; at most 2 GiB can be encoded");
  }
  if (const auto at = find_invalid_utf8(text)) {
    throw Error("the text is not UTF-8 at byte " + std::to_string(*at) + "; convert it to UTF-8");
  }
  std::vector<std::int32_t> ids;
  if (options.add_bos && adds_bos_) ids.push_back(*bos_);
  const SpecialTokens& special = options.parse_special ? special_tokens_ : user_defined_tokens_;
  std::size_t begin = 0;
  while (const auto match = special.find(text, begin)) {
    encode_plain(text.substr(begin, match->begin - begin), ids);
    ids.push_back(match->id);
    begin = match->end;
  }
  encode_plain(text.substr(begin), ids);
  return ids;
}

void ByteLevelBpe::encode_plain(std::string_view text, std::vector<std::int32_t>& ids) const {
  pre_tokenizer_.split(text, [&](std::string_view word) { encode_word(word, ids); });
}

void ByteLevelBpe::encode_word(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (pre_tokenizer_.ignores_merges()) {
    if (const std::int32_t whole = find(word); whole != kNoToken) {
      ids.push_back(whole);
      return;
    }
  }
  std::vector<std::int32_t> pieces;
  pieces.reserve(word.size());
  for (const char c : word) {
    // Bytes that no training text held have no token; they leave no trace, as in the reference.
    const std::int32_t id = byte_ids_[static_cast<unsigned char>(c)];
    if (id != kNoToken) pieces.push_back(id);
  }
  bpe_.merge(pieces);
  ids.insert(ids.end(), pieces.begin(), pieces.end());
}

std::string ByteLevelBpe::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= size()) continue;
    if (!(skip_special && is_special(types_[id]))) bytes += bytes_[id];
  }
  return replace_invalid_utf8(bytes);
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_gguf(const model::Gguf& file) {
  const std::string kind = required_string(file, "tokenizer.ggml.model");
  if (kind != "gpt2") {
    fail(file, "tokenizer " + model::printable(kind) +
                   " is not supported by this version (supported: gpt2, byte-level BPE)");
  }
  return std::make_unique<ByteLevelBpe>(file);
}

}  // namespace sluice::worker::text
