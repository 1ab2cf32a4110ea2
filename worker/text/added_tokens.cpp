#include "worker/text/added_tokens.h"

#include <algorithm>
#include <string>

#include "worker/error.h"
#include "worker/model/printable.h"
#include "worker/text/unicode.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

bool is_word_at(std::string_view text, std::size_t at) {
  return at < text.size() && is_word(take_character(text, at));
}

std::size_t character_before(std::string_view text, std::size_t at) {
  do --at;
  while ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
  return at;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  return !is_word_at(text, end) && (begin == 0 || !is_word_at(text, character_before(text, begin)));
}

std::size_t skip_space_back(std::string_view text, std::size_t at, std::size_t begin) {
  for (at = std::max(at, begin); at > begin;) {
    const std::size_t before = character_before(text, at);
    std::size_t after = before;
    if (!is_white_space(take_character(text, after))) break;
    at = before;
  }
  return at;
}

std::size_t skip_space(std::string_view text, std::size_t at) {
  for (std::size_t next = at; next < text.size(); at = next) {
    if (!is_white_space(take_character(text, next))) break;
  }
  return at;
}

}  // namespace

void AddedTokens::add(std::string_view text, const Token& token) {
  if (text.empty()) return;
  if (text.size() > kAddedTokenBytesMax) {
    throw Error("the added token " + model::printable(text) + " has " +
                std::to_string(text.size()) + " bytes; at most " +
                std::to_string(kAddedTokenBytesMax) + " are supported");
  }
  const auto index = static_cast<std::int32_t>(tokens_.size());
  tokens_.push_back(token);
  trie_.add(text, index);
  starts_[static_cast<unsigned char>(text.front())] = true;
}

std::optional<AddedTokens::Match> AddedTokens::longest_at(std::string_view text, std::size_t begin,
                                                          bool with_special) const {
  std::optional<Match> longest;
  Trie::Node node = Trie::kRoot;
  for (std::size_t at = begin; at < text.size(); ++at) {
    node = trie_.next(node, text[at]);
    if (node == Trie::kNoNode) break;
    const std::int32_t index = trie_.value(node);
    // A special token that does not count hides none that does.
    if (index == Trie::kNoValue || (tokens_[index].special && !with_special)) continue;
    longest = Match{begin, at + 1, at + 1, index};
  }
  return longest;
}

std::optional<AddedTokens::Match> AddedTokens::find(std::string_view text, std::size_t from,
                                                    std::size_t taken, bool with_special) const {
  for (std::size_t at = from; at < text.size();) {
    const auto match = starts_[static_cast<unsigned char>(text[at])]
                           ? longest_at(text, at, with_special)
                           : std::nullopt;
    if (!match) {
      ++at;
      continue;
    }
    const Token& token = tokens_[static_cast<std::size_t>(match->id)];
    if (token.single_word && !stands_alone(text, match->begin, match->end)) {
      at = match->end;  // as the source does: what is passed over hides shorter tokens in it
      continue;
    }
    return Match{
        .begin = token.strips_left ? skip_space_back(text, match->begin, taken) : match->begin,
        .end = token.strips_right ? skip_space(text, match->end) : match->end,
        .bare_end = match->end,
        .id = token.id};
  }
  return std::nullopt;
}

}  // namespace sluice::worker::text
