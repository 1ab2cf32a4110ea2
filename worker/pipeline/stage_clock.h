// Where a stage's window goes. At any moment exactly one category runs, so the sum is whole by
// construction, and what the stage is at within it, which its trace keeps. Times are world time:
// seconds of rank 0's steady clock. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "worker/pipeline/stage_trace.h"

namespace sluice::worker::pipeline {

enum class Category {
  prefill,
  decode,
  sampling,       // deciding on a token after the head: stop rules
  communication,  // moving messages: sends, tests, packing, and the part of a wait that is transfer
  bubble,         // waiting for work that nobody has begun to send
  output,         // text and result lines; at the end, until the last result is durable
  unattributed,
  compute,  // not divided yet: end_compute() makes prefill and decode of it
};
inline constexpr std::size_t kCategories = 8;

// What a stage is at: a category, and for the trace which part of it.
struct Doing {
  Category category = Category::unattributed;
  jobs::TraceKind kind = jobs::TraceKind::other;
  std::int64_t micro_batch = -1;  // within a work: the work's

  Doing(Category its_category);  // NOLINT(google-explicit-constructor): most say no more
  Doing(Category its_category, jobs::TraceKind its_kind, std::int64_t its_micro_batch = -1)
      : category(its_category), kind(its_kind), micro_batch(its_micro_batch) {}
  bool operator==(const Doing&) const = default;
};

class StageClock {
 public:
  explicit StageClock(std::function<double()> now,
                      std::size_t trace_entries_max = StageTrace::kEntriesMax)
      : now_(std::move(now)), trace_(trace_entries_max) {}

  double now() const { return now_(); }

  // The window opens (at_s may lie in the past: time since then belongs to the current category).
  void open(double at_s);
  // The window closes; nothing counts after `at_s`, or after the last switch where clocks that
  // were aligned with an error put that later.
  void close(double at_s);
  bool is_open() const { return open_; }
  // The window of the whole run, of all replicas: before its own and after it a stage had no work.
  // Requires: closed; opened_s and closed_s not within the window that was.
  void widen(double opened_s, double closed_s);

  // Returns what ran until now. To what runs already is no switch, but begun_s() is now.
  Doing switch_to(Doing next);
  double begun_s() const { return begun_s_; }  // the last switch

  // Ends a wait that began at the last switch, for a message that its sender began to send at
  // `sent_s`: until then it was bubble, since then communication. `next` begins.
  void end_wait(double sent_s, Doing next = Category::communication);

  // A device is still at what runs while the host goes on to other things: what it switches to
  // begins when they are over, with release(), which returns it and begins `next`.
  void hold() { host_ = doing_; }
  Doing release(Doing next);

  // Divides the compute time since the last call by the share of it that was prefill.
  void end_compute(double prefill_share);

  // A work on a micro-batch (jobs::holds_others) began at the last switch.
  struct Work {
    jobs::TraceKind kind = jobs::TraceKind::micro_batch;
    std::int64_t micro_batch = -1;
    int prefill_tokens = 0, decode_tokens = 0;
  };
  void begin_work(const Work& work);
  // It ends, its compute time is divided, and `next` begins.
  void end_work(double prefill_share, Doing next);

  void sent(const StageTrace::Message& message, double at_s, std::size_t bytes) {
    if (open_) trace_.sent(message, at_s, bytes);
  }
  void received(const StageTrace::Message& message, double at_s, double sent_s) {
    if (open_) trace_.received(message, at_s, sent_s);
  }

  double seconds(Category category) const { return sums_[static_cast<std::size_t>(category)]; }
  double wall_s() const { return closed_s_ - opened_s_; }
  double opened_s() const { return opened_s_; }
  double closed_s() const { return closed_s_; }
  const StageTrace& trace() const { return trace_; }

 private:
  friend class Aside;

  void charge(Category category, double seconds) {
    if (open_) sums_[static_cast<std::size_t>(category)] += seconds;
  }
  // Charges `category` with the time since begun_s_, which is now.
  double charge_until_now(Category category);
  void record_until(double end_s);  // what it is at, since record_from_s_

  std::function<double()> now_;
  std::array<double, kCategories> sums_{};
  Doing doing_ = Category::unattributed;
  std::optional<Doing> host_;  // held: what the host is at
  double begun_s_ = 0;         // charged up to here
  double opened_s_ = 0, closed_s_ = 0;
  bool open_ = false;

  StageTrace trace_;
  double record_from_s_ = 0;
  double aside_s_ = 0;  // of what it is at
  Work work_;           // micro_batch -1: none
  double work_begun_s_ = 0;
};

// `doing` while it lives, then what ran before.
class Charge {
 public:
  Charge(StageClock& clock, const Doing& doing) : clock_(clock), before_(clock.switch_to(doing)) {}
  ~Charge() { clock_.switch_to(before_); }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

 private:
  StageClock& clock_;
  Doing before_;
};

// Communication while it lives, within what the stage goes on with: many times a micro-batch, too
// short for spans of their own, and kept as one number of that one's.
class Aside {
 public:
  explicit Aside(StageClock& clock) : clock_(clock) {
    clock_.charge_until_now(clock_.doing_.category);
  }
  ~Aside() { clock_.aside_s_ += clock_.charge_until_now(Category::communication); }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

 private:
  StageClock& clock_;
};

}  // namespace sluice::worker::pipeline
