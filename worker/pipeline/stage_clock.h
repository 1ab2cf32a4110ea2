// Where a stage's window goes. At any moment exactly one category runs, so the sum is whole by
// construction. Times are world time: seconds of rank 0's steady clock. One thread.
#pragma once

#include <array>
#include <functional>

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

class StageClock {
 public:
  explicit StageClock(std::function<double()> now) : now_(std::move(now)) {}

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

  // Returns the category that ran until now.
  Category switch_to(Category next);

  // Ends a wait that began at the last switch, for a message that its sender began to send at
  // `sent_s`: until then it was bubble, since then communication. Communication runs on.
  void end_wait(double sent_s);

  // Divides the compute time since the last call by the share of it that was prefill.
  void end_compute(double prefill_share);

  double seconds(Category category) const { return sums_[static_cast<std::size_t>(category)]; }
  double wall_s() const { return closed_s_ - opened_s_; }
  double opened_s() const { return opened_s_; }
  double closed_s() const { return closed_s_; }

 private:
  void charge(Category category, double seconds) {
    if (open_) sums_[static_cast<std::size_t>(category)] += seconds;
  }

  std::function<double()> now_;
  std::array<double, kCategories> sums_{};
  Category current_ = Category::unattributed;
  double begun_s_ = 0;  // of the current category
  double opened_s_ = 0, closed_s_ = 0;
  bool open_ = false;
};

// `category` while it lives, then what ran before.
class Charge {
 public:
  Charge(StageClock& clock, Category category)
      : clock_(clock), before_(clock.switch_to(category)) {}
  ~Charge() { clock_.switch_to(before_); }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

 private:
  StageClock& clock_;
  Category before_;
};

}  // namespace sluice::worker::pipeline
