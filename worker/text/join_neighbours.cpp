#include "worker/text/join_neighbours.h"

#include <cstddef>
#include <queue>
#include <tuple>

namespace sluice::worker::text {
namespace {

constexpr std::int32_t kNone = -1;

// A doubly linked list of symbols in an array; one that was joined away covers nothing.
struct Links {
  std::int32_t previous = kNone, next = kNone;
};

// A pair that could be joined when it was seen; stale when it does not cover the same any more.
struct Candidate {
  double rank = 0;
  std::int32_t left = 0, right = 0;  // indices
  std::uint32_t middle = 0, end = 0;
  std::int32_t id = 0;  // of what they become

  // For a heap that holds the lowest rank, then the leftmost, at its top.
  bool operator<(const Candidate& other) const {
    return std::tie(rank, left) > std::tie(other.rank, other.left);
  }
};

}  // namespace

void join_neighbours(
    std::vector<Symbol>& symbols,
    const std::function<std::optional<Joined>(const Symbol& left, const Symbol& right)>& join) {
  const auto size = static_cast<std::int32_t>(symbols.size());
  if (size < 2) return;
  std::vector<Links> links(symbols.size());
  for (std::int32_t i = 0; i < size; ++i) links[i] = {i - 1, i + 1 < size ? i + 1 : kNone};

  std::vector<Candidate> heap;
  heap.reserve(symbols.size());
  std::priority_queue<Candidate> candidates({}, std::move(heap));
  const auto consider = [&](std::int32_t left) {
    const std::int32_t right = left == kNone ? kNone : links[left].next;
    if (right == kNone) return;
    if (const auto joined = join(symbols[left], symbols[right])) {
      candidates.push({.rank = joined->rank,
                       .left = left,
                       .right = right,
                       .middle = symbols[right].begin,
                       .end = symbols[right].end,
                       .id = joined->id});
    }
  };
  for (std::int32_t i = 0; i < size; ++i) consider(i);

  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = symbols[best.left];
    Symbol& right = symbols[best.right];
    if (left.end != best.middle || right.begin != best.middle || right.end != best.end) continue;
    left.id = best.id;
    left.end = right.end;
    right.begin = right.end = 0;
    const std::int32_t next = links[best.right].next;
    links[best.left].next = next;
    if (next != kNone) links[next].previous = best.left;
    consider(links[best.left].previous);
    consider(best.left);
  }

  std::size_t kept = 0;
  for (std::int32_t i = 0; i != kNone; i = links[i].next) symbols[kept++] = symbols[i];
  symbols.resize(kept);
}

}  // namespace sluice::worker::text
