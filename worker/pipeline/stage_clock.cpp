#include "worker/pipeline/stage_clock.h"

#include <algorithm>
#include <utility>

namespace sluice::worker::pipeline {

void StageClock::open(double at_s) {
  sums_ = {};
  open_ = true;
  opened_s_ = closed_s_ = begun_s_ = at_s;
}

void StageClock::close(double at_s) {
  at_s = std::max(at_s, begun_s_);
  charge(current_, at_s - begun_s_);
  end_compute(0);
  open_ = false;
  closed_s_ = at_s;
}

void StageClock::widen(double opened_s, double closed_s) {
  sums_[static_cast<std::size_t>(Category::bubble)] +=
      (opened_s_ - opened_s) + (closed_s - closed_s_);
  opened_s_ = opened_s;
  closed_s_ = closed_s;
}

Category StageClock::switch_to(Category next) {
  const double now_s = now_();
  charge(current_, now_s - begun_s_);
  begun_s_ = now_s;
  return std::exchange(current_, next);
}

void StageClock::end_wait(double sent_s) {
  const double now_s = now_();
  const double bubble_s = std::max(0.0, std::min(sent_s, now_s) - begun_s_);
  charge(Category::bubble, bubble_s);
  charge(Category::communication, now_s - begun_s_ - bubble_s);
  begun_s_ = now_s;
  current_ = Category::communication;
}

void StageClock::end_compute(double prefill_share) {
  double& compute_s = sums_[static_cast<std::size_t>(Category::compute)];
  charge(Category::prefill, compute_s * prefill_share);
  charge(Category::decode, compute_s * (1 - prefill_share));
  compute_s = 0;
}

}  // namespace sluice::worker::pipeline
