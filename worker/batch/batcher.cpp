#include "worker/batch/batcher.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

namespace sluice::worker::batch {
namespace {

// Micro-batches under way beyond one a stage: those that hold pieces of prompts, which take longer
// than others, and those that only decode. (tests/bench/simulate_pipeline.cpp)
constexpr int kPromptsAhead = 2, kDecodingAhead = 1;
// And for each stage, while others wait to be admitted: a long micro-batch then keeps no stage from
// the short ones behind it. The rest of those in flight gather for the next.
constexpr int kAheadOfWaiting = model::kMicroBatchesHeld - 1;

int ceil_div(int a, int b) { return (a + b - 1) / b; }

}  // namespace

int micro_batch_size(int sequences, const BatcherLimits& limits) {
  return std::min(limits.batch_size, ceil_div(sequences, limits.stages));
}

Batcher::Batcher(const BatcherLimits& limits, model::PagePool pages)
    : limits_(limits), pages_(std::move(pages)), prefixes_(limits.token_budget) {}

bool Batcher::wants_sequences() const {
  return static_cast<int>(waiting_.size()) < 2 * limits_.batch_size;
}

void Batcher::add(Sequence sequence) {
  if (!pages_.could_hold(sequence.tokens_max())) {
    throw Error("prompt " + sequence.id + " may need " + std::to_string(sequence.tokens_max()) +
                " positions, more than the KV cache has");
  }
  waiting_.push_back(std::move(sequence));
}

std::optional<MicroBatch> Batcher::next(double now_s) {
  admit(now_s);
  if (!may_go()) return std::nullopt;
  if (waiting_.empty()) put_longest_first();
  MicroBatch micro_batch;
  micro_batch.plan.admissions = std::exchange(admissions_, {});
  micro_batch.plan.copies = prefixes_.take_copies();
  Step step{.number = steps_++, .wanted = {}};
  micro_batch.plan.step = step.number;
  const int size = micro_batch_size(in_flight_, limits_);
  int members = 0, rows = 0;
  const auto add = [&](int slot, int tokens) {
    const Segment segment = take(slot, tokens, micro_batch);
    const int end = segment.first_position + segment.tokens;
    for (int position = end - segment.wanted; position < end; ++position) {
      step.wanted.push_back({.slot = slot, .position = position});
    }
    ++members;
    rows += tokens;
  };
  const int for_prompts = prompts_.empty() ? 0 : 1;  // of the members, and of the tokens
  const int decoding = std::min(
      {static_cast<int>(ready_.size()), size - for_prompts, limits_.token_budget - for_prompts});
  while (members < decoding) {
    add(ready_.front(), 1);
    ready_.pop_front();
  }
  while (!prompts_.empty() && members < size && rows < limits_.token_budget) {
    const int slot = prompts_.front();
    const int waiting = sequence_in(slot).tokens_waiting();
    const int tokens = std::min(waiting, limits_.token_budget - rows);
    if (tokens == waiting) prompts_.pop_front();
    add(slot, tokens);
  }
  micro_batch.draws = draws_of(step.wanted);
  micro_batch.plan.has_draws = !micro_batch.draws.empty();
  under_way_.push_back(std::move(step));
  return micro_batch;
}

// Where one of them is drawn, all are: the likeliest is a draw too.
std::vector<sampling::Draw> Batcher::draws_of(const std::vector<Wanted>& wanted) const {
  const auto is_drawn = [&](const Wanted& each) { return sequence_in(each.slot).is_drawn(); };
  if (std::ranges::none_of(wanted, is_drawn)) return {};
  std::vector<sampling::Draw> draws;
  draws.reserve(wanted.size());
  for (const auto& [slot, position] : wanted) {
    draws.push_back(sequence_in(slot).draw(position));
  }
  return draws;
}

// What is long must not be left over at the end, to travel alone.
void Batcher::put_longest_first() {
  std::ranges::stable_sort(ready_, std::greater<>(), [this](int slot) {
    const Sequence& sequence = sequence_in(slot);
    return sequence.max_tokens - sequence.output_tokens();
  });
}

// Every stage is to have a micro-batch and find the next one there. Towards the end more under way
// would bring nothing, and leave fewer to choose from.
bool Batcher::may_go() const {
  const int under_way = steps_under_way();
  const bool full = static_cast<int>(ready_.size()) >= micro_batch_size(in_flight_, limits_);
  if (!waiting_.empty() && (full || !prompts_.empty())) {
    return under_way < kAheadOfWaiting * limits_.stages;
  }
  if (!prompts_.empty()) return under_way < limits_.stages + kPromptsAhead;
  if (ready_.empty()) return false;
  return under_way < limits_.stages + (full ? kDecodingAhead : 0);
}

void Batcher::admit(double now_s) {
  const int in_flight_max = model::kMicroBatchesHeld * limits_.batch_size * limits_.stages;
  while (!waiting_.empty() && in_flight_ < in_flight_max && find_room()) {
    if (limits_.prefix_sharing && prefixes_.awaited_by(waiting_.front())) return;
    const int number = free_slot();
    Slot& slot = slots_[static_cast<std::size_t>(number)];
    slot.pages = pages_.reserve(waiting_.front().tokens_max());
    slot.sequence = std::move(waiting_.front());
    slot.sequence->admitted_s = now_s;
    waiting_.pop_front();
    prompts_.push_back(number);
    ++in_flight_;
    admissions_.push_back({.slot = number, .pages = slot.pages});
    if (!limits_.prefix_sharing) continue;
    prefixes_.share(*slot.sequence, slot.pages);
    prefixes_.watch(number, *slot.sequence, waiting());
  }
}

// For the next that waits. Sequences that end will make some; what is kept of prefixes does not.
bool Batcher::find_room() {
  while (!pages_.has_room(waiting_.front().tokens_max())) {
    if (in_flight_ > 0 || !prefixes_.drop_oldest(pages_)) return false;
  }
  return true;
}

std::vector<const Sequence*> Batcher::waiting() const {
  std::vector<const Sequence*> sequences;
  for (const Sequence& sequence : waiting_) sequences.push_back(&sequence);
  return sequences;
}

int Batcher::free_slot() {
  const auto free = std::ranges::find_if(slots_, [](const Slot& s) { return !s.sequence; });
  if (free == slots_.end()) {
    slots_.emplace_back();
    return static_cast<int>(slots_.size()) - 1;
  }
  return static_cast<int>(free - slots_.begin());
}

Segment Batcher::take(int slot, int tokens, MicroBatch& into) {
  Sequence& sequence = sequence_in(slot);
  const Segment segment{.slot = slot,
                        .first_position = sequence.computed,
                        .tokens = tokens,
                        .wanted = sequence.wanted(sequence.computed, tokens),
                        .decode = sequence.computed >= sequence.prompt_tokens};
  const auto first = sequence.tokens.begin() + sequence.computed;
  into.tokens.insert(into.tokens.end(), first, first + tokens);
  into.plan.segments.push_back(segment);
  sequence.computed += tokens;
  if (limits_.prefix_sharing) {
    prefixes_.follow(slot, sequence, slots_[static_cast<std::size_t>(slot)].pages, pages_);
  }
  return segment;
}

std::vector<Finished> Batcher::deliver(std::uint64_t step, std::span<const sampling::Drawn> tokens,
                                       double now_s) {
  if (under_way_.empty() || under_way_.front().number != step ||
      under_way_.front().wanted.size() != tokens.size()) {
    throw Error("tokens of step " + std::to_string(step) + " came back out of turn");
  }
  const std::vector<Wanted> wanted = std::move(under_way_.front().wanted);
  under_way_.pop_front();
  std::vector<Finished> finished;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const int slot = wanted[i].slot;
    Sequence& sequence = sequence_in(slot);
    if (const auto reason = sequence.accept(tokens[i], now_s)) {
      finished.push_back({.sequence = std::move(sequence), .reason = *reason});
      release(slot);
    } else if (!sequence.scored) {
      ready_.push_back(slot);
    } else if (sequence.computed == 0) {
      prompts_.push_back(slot);
    }
  }
  return finished;
}

// Its last token came back, so every stage is through with the pages.
void Batcher::release(int slot) {
  Slot& freed = slots_[static_cast<std::size_t>(slot)];
  pages_.release(freed.pages);
  freed = Slot{};
  --in_flight_;
}

std::int64_t Batcher::unfinished_output_tokens() const {
  std::int64_t tokens = 0;
  for (const Slot& slot : slots_) tokens += slot.sequence ? slot.sequence->output_tokens() : 0;
  return tokens;
}

}  // namespace sluice::worker::batch
