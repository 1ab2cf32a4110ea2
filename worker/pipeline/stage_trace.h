// What a stage did last, from when to when, in a memory of fixed size: the newest is kept, what it
// overwrites is counted. Times are world time, as StageClock tells it. Recording allocates nothing
// and takes no lock. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "jobs/trace.h"

namespace sluice::worker::pipeline {

class StageTrace {
 public:
  static constexpr std::size_t kEntriesMax = std::size_t{1} << 15;  // 1.5 MiB

  explicit StageTrace(std::size_t entries_max = kEntriesMax) : entries_(entries_max) {}

  struct Span {
    double begin_s = 0, end_s = 0;
    std::int64_t micro_batch = -1;
    double communication_s = 0;
    int prefill_tokens = 0, decode_tokens = 0;
  };
  void span(jobs::TraceKind kind, const Span& span) {
    next() = {.of = Of::span, .kind = kind, .span = span};
  }

  struct Message {
    int peer = 0;  // rank
    jobs::TraceCargo cargo = jobs::TraceCargo::activations;
    std::int64_t micro_batch = 0;
  };
  void sent(const Message& message, double at_s, std::size_t bytes) {
    next() = {.of = Of::sent,
              .cargo = message.cargo,
              .peer = message.peer,
              .span = {.begin_s = at_s,
                       .end_s = static_cast<double>(bytes),
                       .micro_batch = message.micro_batch}};
  }
  // `sent_s`: as its sender said; NaN: it did not say.
  void received(const Message& message, double at_s, double sent_s) {
    next() = {.of = Of::received,
              .cargo = message.cargo,
              .peer = message.peer,
              .span = {.begin_s = at_s, .end_s = sent_s, .micro_batch = message.micro_batch}};
  }

  void clear() { written_ = 0; }
  std::int64_t overwritten() const;

  // All that is kept, with times since `origin_s`; the head has nothing but `overwritten`.
  jobs::Trace since(double origin_s) const;

 private:
  enum class Of : std::uint8_t { span, sent, received };
  // A message's time stands in begin_s; in end_s its bytes, or its sender's stamp.
  struct Entry {
    Of of = Of::span;
    jobs::TraceKind kind = jobs::TraceKind::other;
    jobs::TraceCargo cargo = jobs::TraceCargo::activations;
    int peer = 0;
    Span span;
  };
  Entry& next() {
    Entry& entry = entries_[next_];
    next_ = next_ + 1 == entries_.size() ? 0 : next_ + 1;
    ++written_;
    return entry;
  }

  std::vector<Entry> entries_;
  std::size_t next_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace sluice::worker::pipeline
