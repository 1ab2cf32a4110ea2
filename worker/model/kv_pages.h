// The leader's books of the KV cache: which pages are free. All stages share one numbering, so one
// list serves the whole replica and the smallest stage's room counts. How many pages a stage can
// hold is decided here too. Values, no device; one thread.
//
// Layers without a window keep every position of a sequence; layers with one keep the last
// positions in a ring of pages, the same for all such layers. So there are two kinds of pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "worker/model/config.h"

namespace sluice::worker::model {

int pages_for(int tokens);  // enough for that many positions

// Which pages a sequence of a model needs.
struct KvLayout {
  bool has_full = true;  // some layer keeps every position
  int ring_pages = 0;    // of layers with a window; 0: there is none
};
// `rows_max`: of a micro-batch, which are in the ring at once beside the window before them.
KvLayout kv_layout(const ModelConfig& config, int rows_max);

// Numbers of pages of both kinds.
struct KvRoom {
  int full = 0, ring = 0;
  bool operator==(const KvRoom&) const = default;
};
KvRoom pages_of_sequence(const KvLayout& layout, int tokens);
KvRoom smaller_of(const KvRoom& a, const KvRoom& b);  // of each kind
std::string to_string(const KvRoom& room);            // "4096 positions"

struct SequencePages {
  std::vector<std::int32_t> full, ring;
  bool operator==(const SequencePages&) const = default;
};

class PagePool {
 public:
  explicit PagePool(const KvRoom& room, const KvLayout& layout = {});

  const KvRoom& room() const { return room_; }
  KvRoom free() const;
  bool could_hold(int tokens) const { return fits(tokens, room_); }  // when all is free
  bool has_room(int tokens) const { return fits(tokens, free()); }

  // Pages for `tokens` positions, lowest numbers first. Requires: has_room(tokens).
  SequencePages reserve(int tokens);
  void release(const SequencePages& pages);

 private:
  bool fits(int tokens, const KvRoom& room) const;

  KvRoom room_;
  KvLayout layout_;
  std::vector<std::int32_t> free_full_,
      free_ring_;  // descending: the lowest is taken from the back
};

// What a job wants in its caches and what one rank has to give.
struct KvDemand {
  int max_seq_len = 0;  // of one sequence, prompt + output tokens
  int max_tokens = 0;   // usual output of one sequence
  int batch_size = 0, stages = 0;
  std::int64_t prompts = 0;     // never more sequences than these
  bool prefix_sharing = false;  // kPrefixesKept beginnings of prompts are kept beside them
  KvLayout layout = {};
};
inline constexpr int kPrefixesKept = 4;
inline constexpr int kMicroBatchesHeld = 4;     // full micro-batches per stage, at most
inline constexpr int kUsualPromptTokens = 512;  // a longer prompt simply takes more of the room
inline constexpr double kKvMemoryShare = 0.25;  // of a host's memory that a rank may call its own

// What a page of each kind takes on one rank.
struct KvPageBytes {
  std::size_t full = 0, ring = 0;
};
// Pages for kMicroBatchesHeld x batch_size x stages sequences of usual length, bounded by what they
// may take, and never less than one sequence of max_seq_len needs.
KvRoom room_wanted(const KvDemand& demand, const KvPageBytes& page_bytes, double bytes_max);

}  // namespace sluice::worker::model
