// Continuous batching: decides which sequences enter, and which of them travel together in the next
// micro-batch. Owned by the leader of a replica. Pure: no messages, no clock (times are passed in).
//
// Sequences are admitted in the order they were added, as far as there is KV room for all the
// tokens they may ever have, and up to kMicroBatchesHeld full micro-batches a stage: more would
// keep no stage busier, but take memory and make each answer slower. Work that is done with few
// sequences costs nearly as much as with many, so micro-batches are kept full: answers that go on
// ride with the next pieces of prompts, in order of admission; and while every stage has something
// to do, sequences wait for company, longer towards the end of the job. When nobody waits to be
// admitted any more, those go first that may last longest. A prompt's next piece may follow while
// the one before is still under way (stages work in order); a token's successor has to wait for it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "worker/batch/batch_plan.h"
#include "worker/batch/prefixes.h"
#include "worker/batch/sequence.h"
#include "worker/model/kv_pages.h"

namespace sluice::worker::batch {

struct BatcherLimits {
  int batch_size = 8;      // sequences in a micro-batch, at most
  int token_budget = 128;  // tokens in a micro-batch, at most
  int stages = 1;
  bool prefix_sharing = false;
};

// How many of the sequences in flight travel in one micro-batch: no stage is to run dry.
int micro_batch_size(int sequences, const BatcherLimits& limits);

struct Finished {
  Sequence sequence;
  jobs::FinishReason reason = jobs::FinishReason::stop;
};

class Batcher {
 public:
  Batcher(const BatcherLimits& limits, model::PagePool pages);

  // Should more be added, so that admission never waits for a tokenizer?
  bool wants_sequences() const;
  // Throws worker::Error when the sequence could never find room.
  void add(Sequence sequence);

  // The next micro-batch, or nothing: no sequence is ready, or enough of them are under way.
  std::optional<MicroBatch> next(double now_s);
  // The tokens that came back for the oldest micro-batch under way. Returns what they finished.
  std::vector<Finished> deliver(std::uint64_t step, std::span<const sampling::Drawn> tokens,
                                double now_s);

  bool idle() const { return waiting_.empty() && in_flight_ == 0; }
  int in_flight() const { return in_flight_; }  // admitted sequences
  int in_hand() const { return in_flight_ + static_cast<int>(waiting_.size()); }
  int steps_under_way() const { return static_cast<int>(under_way_.size()); }
  // Tokens generated for sequences that are not finished: lost when the run stops now.
  std::int64_t unfinished_output_tokens() const;

 private:
  struct Slot {
    std::optional<Sequence> sequence;
    model::SequencePages pages;
  };
  struct Wanted {
    int slot = 0;
    int position = 0;  // of the row that wants a token
  };
  struct Step {
    std::uint64_t number = 0;
    std::vector<Wanted> wanted;  // in the order in which their tokens come back
  };

  void admit(double now_s);
  bool find_room();
  std::vector<const Sequence*> waiting() const;
  int free_slot();
  bool may_go() const;
  void put_longest_first();
  Segment take(int slot, int tokens, MicroBatch& into);
  std::vector<sampling::Draw> draws_of(const std::vector<Wanted>& wanted) const;
  Sequence& sequence_in(int slot) { return *slots_[static_cast<std::size_t>(slot)].sequence; }
  const Sequence& sequence_in(int slot) const {
    return *slots_[static_cast<std::size_t>(slot)].sequence;
  }
  void release(int slot);

  BatcherLimits limits_;
  model::PagePool pages_;
  Prefixes prefixes_;
  std::deque<Sequence> waiting_;       // not admitted yet
  std::vector<Admission> admissions_;  // not in a plan yet
  std::vector<Slot> slots_;
  std::deque<int> prompts_;  // slots with a prompt not computed to its end, in order of admission
  std::deque<int> ready_;    // slots whose next token can be computed, longest waiting first
  std::deque<Step> under_way_;
  int in_flight_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace sluice::worker::batch
