// Where a rank's life goes, from the script's start to the end: exactly one phase at any moment, so
// the sum is whole by construction. Times are this machine's steady clock.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace sluice::worker {

enum class Phase {
  launch,      // from the script's first line until this rank can talk to the others
  load,        // reading, converting and placing weights; waiting for the slowest rank to do so
  preprocess,  // the job, the model's header and tokenizer, the prompts and earlier results
  window,      // first prompt admitted to last result durable
  teardown,
};

class PhaseClock {
 public:
  explicit PhaseClock(double script_start_unix_s);  // 0: not known, the clock starts now

  void begin(Phase next);  // now
  // At a steady time. One before the last change (another rank told it, by its own clock, or while
  // this one was not scheduled) counts as that change.
  void begin(Phase next, double at_s);

  double seconds(Phase phase) const { return seconds_[static_cast<std::size_t>(phase)]; }
  double elapsed_s() const { return begun_s_ - started_s_; }  // up to the last change

  // The phases that took any time, in order.
  struct Span {
    Phase phase = Phase::launch;
    double begun_s = 0, ended_s = 0;
  };
  const std::vector<Span>& spans() const { return spans_; }

 private:
  std::array<double, 5> seconds_{};
  std::vector<Span> spans_;
  Phase current_ = Phase::launch;
  double started_s_, begun_s_;
};

}  // namespace sluice::worker
