#include "worker/phase_clock.h"

#include <algorithm>

#include "jobs/files.h"

namespace sluice::worker {

PhaseClock::PhaseClock(double script_start_unix_s) : started_s_(jobs::steady_time_s()) {
  // The script may have begun on a machine whose wall clock is ahead of this one's.
  if (script_start_unix_s > 0) {
    started_s_ -= std::max(0.0, jobs::unix_time_s() - script_start_unix_s);
  }
  begun_s_ = started_s_;
}

void PhaseClock::begin(Phase next) { begin(next, jobs::steady_time_s()); }

void PhaseClock::begin(Phase next, double at_s) {
  at_s = std::max(at_s, begun_s_);
  seconds_[static_cast<std::size_t>(current_)] += at_s - begun_s_;
  if (at_s > begun_s_) {
    spans_.push_back({.phase = current_, .begun_s = begun_s_, .ended_s = at_s});
  }
  begun_s_ = at_s;
  current_ = next;
}

}  // namespace sluice::worker
