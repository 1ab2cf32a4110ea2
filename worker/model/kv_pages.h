// The leader's books of the KV cache: which pages are free. All stages share one numbering, so one
// list serves the whole replica and the smallest stage's room counts. How many pages a stage can
// hold is decided here too. Values, no device; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/backend.h"

namespace sluice::worker::model {

int pages_for(int tokens);  // enough for that many positions

class PagePool {
 public:
  explicit PagePool(int pages);

  int pages() const { return pages_; }
  int free_pages() const { return static_cast<int>(free_.size()); }
  bool has_room(int tokens) const { return pages_for(tokens) <= free_pages(); }

  // Pages for `tokens` positions, lowest numbers first. Requires: has_room(tokens).
  std::vector<std::int32_t> reserve(int tokens);
  void release(const std::vector<std::int32_t>& pages);

 private:
  int pages_;
  std::vector<std::int32_t> free_;  // descending, so that the lowest is taken from the back
};

// What a job wants in its caches and what one rank has to give.
struct KvDemand {
  int max_seq_len = 0;  // of one sequence, prompt + output tokens
  int max_tokens = 0;   // usual output of one sequence
  int batch_size = 0, stages = 0;
  std::int64_t prompts = 0;  // never more sequences than these
};
inline constexpr int kMicroBatchesHeld = 4;     // full micro-batches per stage that find room
inline constexpr int kUsualPromptTokens = 512;  // a longer prompt simply takes more of the room
inline constexpr double kKvMemoryShare = 0.25;  // of what a rank may call its own, at most

// Pages for kMicroBatchesHeld x batch_size x stages sequences of usual length, bounded by a share
// of the rank's memory, and never less than one sequence of max_seq_len needs.
int pages_wanted(const KvDemand& demand, std::size_t bytes_per_page, std::uint64_t memory_bytes);

}  // namespace sluice::worker::model
