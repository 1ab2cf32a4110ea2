#include "worker/text/bpe.h"

#include <cstddef>

#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

std::uint64_t key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

MergeTable::MergeTable(std::span<const Merge> merges) {
  merges_.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    merges_.try_emplace(key(merge.left, merge.right),
                        Ranked{static_cast<std::uint32_t>(rank), merge.joined});
  }
}

std::optional<Joined> MergeTable::find(std::int32_t left, std::int32_t right) const {
  const auto found = merges_.find(key(left, right));
  if (found == merges_.end()) return std::nullopt;
  return Joined{static_cast<double>(found->second.rank), found->second.joined};
}

Bpe::Bpe(std::shared_ptr<const Vocabulary> vocabulary, MergeTable merges, const Rules& rules)
    : vocabulary_(std::move(vocabulary)),
      merges_(std::move(merges)),
      rules_(rules),
      byte_tokens_(find_byte_tokens(*vocabulary_)) {}

void Bpe::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (rules_.ignores_merges) {
    if (const std::int32_t whole = vocabulary_->find(word); whole != kNoToken) {
      ids.push_back(whole);
      return;
    }
  }
  std::vector<std::int32_t> pieces = characters(word);
  merge(merges_, pieces);
  ids.insert(ids.end(), pieces.begin(), pieces.end());
}

std::vector<std::int32_t> Bpe::characters(std::string_view word) const {
  std::vector<std::int32_t> ids;
  ids.reserve(word.size());
  bool after_unknown = false;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t begin = at;
    take_character(word, at);
    const std::string_view character = word.substr(begin, at - begin);
    if (const std::int32_t id = vocabulary_->find(character); id != kNoToken) {
      ids.push_back(id);
      after_unknown = false;
    } else if (rules_.falls_back_to_bytes && append_byte_tokens(byte_tokens_, character, ids)) {
      after_unknown = false;
    } else if (rules_.unknown != kNoToken && !(after_unknown && rules_.fuses_unknown)) {
      ids.push_back(rules_.unknown);
      after_unknown = true;
    }
    // Without a token for it, a character leaves no trace, as in the source.
  }
  return ids;
}

void merge(const MergeTable& merges, std::vector<std::int32_t>& word) {
  std::vector<Symbol> symbols(word.size());
  for (std::size_t i = 0; i < word.size(); ++i) {
    const auto at = static_cast<std::uint32_t>(i);
    symbols[i] = {word[i], at, at + 1};
  }
  join_neighbours(symbols, [&](const Symbol& left, const Symbol& right) {
    return merges.find(left.id, right.id);
  });
  word.clear();
  for (const Symbol& symbol : symbols) word.push_back(symbol.id);
}

}  // namespace sluice::worker::text
