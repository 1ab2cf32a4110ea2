#include "worker/text/sentence_piece_bpe.h"

#include <algorithm>
#include <optional>

#include "worker/text/join_neighbours.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {

SentencePieceBpe::SentencePieceBpe(std::shared_ptr<const Vocabulary> vocabulary,
                                   std::vector<float> scores, std::int32_t unknown)
    : vocabulary_(std::move(vocabulary)),
      scores_(std::move(scores)),
      unknown_(unknown),
      byte_tokens_(find_byte_tokens(*vocabulary_)) {
  for (const auto& text : vocabulary_->texts()) longest_ = std::max(longest_, text.size());
}

void SentencePieceBpe::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  const auto text = [&](std::uint32_t begin, std::uint32_t end) {
    return word.substr(begin, end - begin);
  };
  for (std::size_t at = 0; at < word.size();) {
    const auto begin = static_cast<std::uint32_t>(at);
    take_character(word, at);
    const auto end = static_cast<std::uint32_t>(at);
    symbols.push_back({vocabulary_->find(text(begin, end)), begin, end});
  }
  join_neighbours(symbols, [&](const Symbol& left, const Symbol& right) -> std::optional<Joined> {
    if (right.end - left.begin > longest_) return std::nullopt;
    const std::int32_t id = vocabulary_->find(text(left.begin, right.end));
    if (id == kNoToken) return std::nullopt;
    return Joined{-scores_[id], id};
  });
  for (const Symbol& symbol : symbols) {
    if (symbol.id != kNoToken) {
      ids.push_back(symbol.id);
    } else if (!append_byte_tokens(byte_tokens_, text(symbol.begin, symbol.end), ids) &&
               unknown_ != kNoToken) {
      ids.push_back(unknown_);
    }
  }
}

}  // namespace sluice::worker::text
