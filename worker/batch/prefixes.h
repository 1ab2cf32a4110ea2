// Beginnings of prompts whose keys and values are kept, so that a prompt that begins the same takes
// them instead of computing them again: they depend on these tokens alone. What is kept are copies
// in pages of their own, and a prompt gets copies too; so nothing here outlives or disturbs a
// sequence. Which beginnings are worth it shows when a prompt is admitted: those that it shares
// with prompts that wait behind it, which then wait until it has computed them. Owned by the
// batcher. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "worker/batch/batch_plan.h"
#include "worker/batch/sequence.h"
#include "worker/model/kv_pages.h"

namespace sluice::worker::batch {

inline constexpr int kPrefixTokensMin = 32;  // fewer are not worth a copy

class Prefixes {
 public:
  explicit Prefixes(int rows_max) : rows_max_(rows_max) {}  // of a micro-batch

  // Has it to wait for what another sequence is computing?
  bool awaited_by(const Sequence& sequence) const;
  // Gives an admitted sequence, which has these pages, as much as is kept of its beginning:
  // `computed` moves on.
  void share(Sequence& sequence, const model::SequencePages& pages);
  // The sequence in a slot begins: will it compute more than it was given that others share?
  void watch(int slot, const Sequence& sequence, std::span<const Sequence* const> waiting);
  // Some of it was put into a micro-batch: if that was the last of what is shared, it is kept.
  void follow(int slot, const Sequence& sequence, const model::SequencePages& its_pages,
              model::PagePool& pool);

  bool drop_oldest(model::PagePool& pool);  // false: nothing is kept
  // What is to be copied before the next micro-batch, in this order.
  std::vector<PageCopies> take_copies() { return std::exchange(copies_, {}); }

 private:
  struct Kept {
    std::vector<std::int32_t> tokens;
    model::SequencePages pages;
    std::uint64_t used = 0;  // the larger, the later
  };
  struct Watched {
    int slot = 0;
    std::vector<std::int32_t> tokens;  // the beginning that is shared
  };
  struct Found {
    std::size_t kept = 0;
    int tokens = 0;
  };

  Found find(const Sequence& sequence) const;
  int usable(const Kept& kept, const Sequence& sequence) const;
  void copy(const model::SequencePages& from, const model::SequencePages& to, int tokens);

  int rows_max_;
  std::vector<Kept> kept_;
  std::vector<Watched> watched_;
  std::vector<PageCopies> copies_;
  std::uint64_t uses_ = 0;
};

}  // namespace sluice::worker::batch
