#include "worker/batch/prefixes.h"

#include <algorithm>

#include "kernels/backend.h"

namespace sluice::worker::batch {
namespace {

// Tokens that both begin with and that the sequence need not compute itself.
int common(std::span<const std::int32_t> beginning, const Sequence& sequence) {
  const auto most = std::min(beginning.size(), static_cast<std::size_t>(sequence.sharable()));
  const auto end = std::ranges::mismatch(beginning.first(most), sequence.tokens).in1;
  return static_cast<int>(end - beginning.begin());
}

}  // namespace

// In a ring lie the last positions of what was computed, which are those before a shorter beginning
// only while no more than a micro-batch was computed after it.
int Prefixes::usable(const Kept& kept, const Sequence& sequence) const {
  const int tokens = common(kept.tokens, sequence);
  const int computed = static_cast<int>(kept.tokens.size());
  const int ring = static_cast<int>(kept.pages.ring.size()) * kernels::kKvPageTokens;
  return ring == 0 || computed <= ring || tokens >= computed - rows_max_ ? tokens : 0;
}

Prefixes::Found Prefixes::find(const Sequence& sequence) const {
  Found found;
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    const int tokens = usable(kept_[i], sequence);
    if (tokens >= kPrefixTokensMin && tokens > found.tokens) found = {.kept = i, .tokens = tokens};
  }
  return found;
}

bool Prefixes::awaited_by(const Sequence& sequence) const {
  if (watched_.empty()) return false;
  const int there = find(sequence).tokens;
  return std::ranges::any_of(watched_, [&](const Watched& watched) {
    return common(watched.tokens, sequence) >= there + kPrefixTokensMin;
  });
}

void Prefixes::share(Sequence& sequence, const model::SequencePages& pages) {
  const auto [number, tokens] = find(sequence);
  if (tokens == 0) return;
  Kept& kept = kept_[number];
  kept.used = ++uses_;
  copy(kept.pages, pages, tokens);
  sequence.computed = sequence.shared = tokens;
}

void Prefixes::watch(int slot, const Sequence& sequence, std::span<const Sequence* const> waiting) {
  int shared = 0;
  const auto own = std::span(sequence.tokens).first(static_cast<std::size_t>(sequence.sharable()));
  for (const Sequence* other : waiting) shared = std::max(shared, common(own, *other));
  if (shared < sequence.computed + kPrefixTokensMin) return;
  watched_.push_back({.slot = slot, .tokens = {own.begin(), own.begin() + shared}});
}

void Prefixes::follow(int slot, const Sequence& sequence, const model::SequencePages& its_pages,
                      model::PagePool& pool) {
  const auto watched = std::ranges::find(watched_, slot, &Watched::slot);
  if (watched == watched_.end() || sequence.computed < static_cast<int>(watched->tokens.size())) {
    return;
  }
  watched_.erase(watched);
  if (copies_.size() == model::kPrefixesKept) return;  // as many as a plan has room for
  if (kept_.size() == model::kPrefixesKept) drop_oldest(pool);
  while (!pool.has_room(sequence.computed)) {
    if (!drop_oldest(pool)) return;
  }
  const auto end = sequence.tokens.begin() + sequence.computed;
  Kept kept{.tokens = {sequence.tokens.begin(), end},
            .pages = pool.reserve(sequence.computed),
            .used = ++uses_};
  copy(its_pages, kept.pages, sequence.computed);
  kept_.push_back(std::move(kept));
}

bool Prefixes::drop_oldest(model::PagePool& pool) {
  if (kept_.empty()) return false;
  const auto oldest = std::ranges::min_element(kept_, {}, &Kept::used);
  pool.release(oldest->pages);
  kept_.erase(oldest);
  return true;
}

void Prefixes::copy(const model::SequencePages& from, const model::SequencePages& to, int tokens) {
  const auto pages = static_cast<std::size_t>(model::pages_for(tokens));
  PageCopies copies;
  if (!from.full.empty()) {
    copies.full_from.assign(from.full.begin(), from.full.begin() + static_cast<int>(pages));
    copies.full_to.assign(to.full.begin(), to.full.begin() + static_cast<int>(pages));
  }
  const std::size_t last = std::min({pages, from.ring.size(), to.ring.size()});
  for (std::size_t page = pages - last; page < pages && last > 0; ++page) {
    copies.ring_from.push_back(from.ring[page % from.ring.size()]);
    copies.ring_to.push_back(to.ring[page % to.ring.size()]);
  }
  copies_.push_back(std::move(copies));
}

}  // namespace sluice::worker::batch
