#include "worker/text/tokenizer.h"

#include <utility>

#include "worker/error.h"
#include "worker/text/detokenizer.h"
#include "worker/text/tokenizer_parts.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

using Ids = std::vector<std::int32_t>;

// Positions within words have 31 bits, also after normalizing.
constexpr std::size_t kTextBytesMax = std::size_t{1} << 28;
constexpr std::size_t kWordBytesMax = (std::size_t{1} << 31) - 1;

// Calls `plain` with the stretches between the tokens found, and appends those.
template <class Plain>
void cut(std::string_view text, const AddedTokens& tokens, bool with_special, Ids& ids,
         Plain plain) {
  std::size_t from = 0, taken = 0;
  const auto stretch = [&](std::size_t end) {
    if (taken < end) plain(text.substr(taken, end - taken), taken == 0);
  };
  while (const auto match = tokens.find(text, from, taken, with_special)) {
    stretch(match->begin);
    if (match->begin < match->end) ids.push_back(match->id);
    from = match->bare_end;
    taken = match->end;
  }
  stretch(text.size());
}

void append_word(const TokenModel& model, std::string_view word, Ids& ids) {
  if (word.size() > kWordBytesMax) throw Error("a word of more than 2 GiB cannot be encoded");
  const auto encode = [&](const auto& kind) {
    if constexpr (!std::is_same_v<decltype(kind), const std::monostate&>) kind.encode(word, ids);
  };
  std::visit(encode, model);
}

}  // namespace

Tokenizer::Tokenizer(TokenizerParts parts)
    : parts_(std::make_unique<const TokenizerParts>(std::move(parts))) {}
Tokenizer::~Tokenizer() = default;

Ids Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() > kTextBytesMax) {
    throw Error("a text of " + std::to_string(text.size()) + " bytes; at most " +
                std::to_string(kTextBytesMax) + " can be encoded");
  }
  if (const auto at = find_invalid_utf8(text)) {
    throw Error("the text is not UTF-8 at byte " + std::to_string(*at) + "; convert it to UTF-8");
  }
  const TokenizerParts& p = *parts_;
  Ids ids;
  if (options.add_bos) ids = p.prefix;
  const auto encode_normalized = [&](std::string_view stretch, bool at_start) {
    p.pre_tokenizer.split(stretch, at_start,
                          [&](std::string_view word) { append_word(p.model, word, ids); });
  };
  cut(text, p.added_tokens, options.parse_special, ids, [&](std::string_view raw, bool raw_first) {
    const std::string normalized = p.normalizer.apply(raw);
    cut(normalized, p.normalized_added_tokens, options.parse_special, ids,
        [&](std::string_view stretch, bool first) {
          encode_normalized(stretch, raw_first && first);
        });
  });
  if (options.add_bos) ids.insert(ids.end(), p.suffix.begin(), p.suffix.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  Detokenizer detokenizer(*this, skip_special);
  std::string text;
  for (const std::int32_t id : ids) text += detokenizer.push(id);
  return text += detokenizer.finish();
}

// Of two in a row, what the second adds: decoders drop a blank at the begin of a text.
std::string Tokenizer::piece(std::int32_t id) const {
  const std::int32_t twice[] = {id, id};
  const std::string once = decode(std::span(twice).first(1), /*skip_special=*/false);
  std::string both = decode(twice, /*skip_special=*/false);
  return both.starts_with(once) ? both.substr(once.size()) : once;
}

int Tokenizer::size() const { return parts_->vocabulary->size(); }
std::optional<std::int32_t> Tokenizer::bos() const { return parts_->bos; }
bool Tokenizer::adds_bos() const { return !parts_->prefix.empty(); }
const std::string& Tokenizer::kind() const { return parts_->kind; }
const std::string& Tokenizer::pre_tokenizer() const { return parts_->pre_tokenizer_name; }
const std::vector<StopToken>& Tokenizer::stop_tokens() const { return parts_->stop_tokens; }

}  // namespace sluice::worker::text
