#include "worker/text/bpe.h"

#include <cstddef>
#include <queue>
#include <tuple>

namespace sluice::worker::text {
namespace {

constexpr std::int32_t kNone = -1;

std::uint64_t key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

// An element of a doubly linked list in an array; joined away when `id` is kNone.
struct Symbol {
  std::int32_t id = kNone;
  std::int32_t previous = kNone, next = kNone;
};

// A pair that could be joined when it was seen; stale when its ids have changed since.
struct Candidate {
  std::uint32_t rank = 0;
  std::int32_t at = 0;  // index of the left symbol
  std::int32_t left = 0, right = 0, joined = 0;

  // For a heap that holds the lowest rank, then the leftmost, at its top.
  bool operator<(const Candidate& other) const {
    return std::tie(rank, at) > std::tie(other.rank, other.at);
  }
};

}  // namespace

Bpe::Bpe(std::span<const Merge> merges) {
  merges_.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    merges_.try_emplace(key(merge.left, merge.right),
                        Ranked{static_cast<std::uint32_t>(rank), merge.joined});
  }
}

void Bpe::merge(std::vector<std::int32_t>& word) const {
  const auto size = static_cast<std::int32_t>(word.size());
  if (size < 2) return;
  std::vector<Symbol> symbols(word.size());
  for (std::int32_t i = 0; i < size; ++i) {
    symbols[i] = {word[i], i - 1, i + 1 < size ? i + 1 : kNone};
  }
  std::priority_queue<Candidate> candidates;
  const auto consider = [&](std::int32_t at) {
    if (at == kNone || symbols[at].next == kNone) return;
    const std::int32_t left = symbols[at].id, right = symbols[symbols[at].next].id;
    if (const auto found = merges_.find(key(left, right)); found != merges_.end()) {
      candidates.push({found->second.rank, at, left, right, found->second.joined});
    }
  };
  for (std::int32_t i = 0; i < size; ++i) consider(i);

  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = symbols[best.at];
    if (left.id != best.left || left.next == kNone) continue;
    Symbol& right = symbols[left.next];
    if (right.id != best.right) continue;
    left.id = best.joined;
    right.id = kNone;
    left.next = right.next;
    if (left.next != kNone) symbols[left.next].previous = best.at;
    consider(left.previous);
    consider(best.at);
  }

  word.clear();
  for (std::int32_t i = 0; i != kNone; i = symbols[i].next) word.push_back(symbols[i].id);
}

}  // namespace sluice::worker::text
