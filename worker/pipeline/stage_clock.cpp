#include "worker/pipeline/stage_clock.h"

#include <algorithm>
#include <utility>

namespace sluice::worker::pipeline {
namespace {

using jobs::TraceKind;

TraceKind kind_of(Category category) {
  switch (category) {
    case Category::sampling:
      return TraceKind::sampling;
    case Category::communication:
      return TraceKind::communication;
    case Category::bubble:
      return TraceKind::wait;
    case Category::output:
      return TraceKind::output;
    case Category::prefill:
    case Category::decode:
    case Category::compute:
    case Category::unattributed:
      break;
  }
  return TraceKind::other;
}

}  // namespace

Doing::Doing(Category its_category) : category(its_category), kind(kind_of(its_category)) {}

void StageClock::open(double at_s) {
  sums_ = {};
  trace_.clear();
  open_ = true;
  opened_s_ = closed_s_ = begun_s_ = record_from_s_ = at_s;
  aside_s_ = 0;
}

void StageClock::close(double at_s) {
  at_s = std::max(at_s, begun_s_);
  charge(doing_.category, at_s - begun_s_);
  record_until(at_s);
  end_compute(0);
  open_ = false;
  closed_s_ = at_s;
}

void StageClock::widen(double opened_s, double closed_s) {
  sums_[static_cast<std::size_t>(Category::bubble)] +=
      (opened_s_ - opened_s) + (closed_s - closed_s_);
  if (opened_s < opened_s_) trace_.span(TraceKind::idle, {.begin_s = opened_s, .end_s = opened_s_});
  if (closed_s > closed_s_) trace_.span(TraceKind::idle, {.begin_s = closed_s_, .end_s = closed_s});
  opened_s_ = opened_s;
  closed_s_ = closed_s;
}

double StageClock::charge_until_now(Category category) {
  const double now_s = now_();
  const double seconds = now_s - begun_s_;
  charge(category, seconds);
  begun_s_ = now_s;
  return seconds;
}

void StageClock::record_until(double end_s) {
  if (open_ && end_s > record_from_s_) {
    trace_.span(doing_.kind, {.begin_s = record_from_s_,
                              .end_s = end_s,
                              .micro_batch = std::max(doing_.micro_batch, work_.micro_batch),
                              .communication_s = aside_s_});
  }
  record_from_s_ = end_s;
  aside_s_ = 0;
}

Doing StageClock::switch_to(Doing next) {
  charge_until_now(doing_.category);
  if (host_) return *std::exchange(host_, next);
  if (next == doing_) return next;
  record_until(begun_s_);
  return std::exchange(doing_, next);
}

Doing StageClock::release(Doing next) {
  const Doing host = *std::exchange(host_, std::nullopt);
  switch_to(next);
  return host;
}

void StageClock::end_wait(double sent_s, Doing next) {
  if (host_) {
    switch_to(next);
    return;
  }
  const double began_s = begun_s_;
  const double now_s = now_();
  const double bubble_s = std::max(0.0, std::min(sent_s, now_s) - began_s);
  charge(Category::bubble, bubble_s);
  charge(Category::communication, now_s - began_s - bubble_s);
  begun_s_ = now_s;

  record_until(began_s);
  doing_ = Category::bubble;
  record_until(began_s + bubble_s);
  doing_ = {Category::communication, TraceKind::receive, next.micro_batch};
  record_until(now_s);
  doing_ = next;
}

void StageClock::end_compute(double prefill_share) {
  double& compute_s = sums_[static_cast<std::size_t>(Category::compute)];
  charge(Category::prefill, compute_s * prefill_share);
  charge(Category::decode, compute_s * (1 - prefill_share));
  compute_s = 0;
}

void StageClock::begin_work(const Work& work) {
  record_until(begun_s_);
  work_ = work;
  work_begun_s_ = begun_s_;
}

void StageClock::end_work(double prefill_share, Doing next) {
  switch_to(next);
  record_until(begun_s_);  // where it was at `next` already
  if (open_) {
    trace_.span(work_.kind, {.begin_s = work_begun_s_,
                             .end_s = begun_s_,
                             .micro_batch = work_.micro_batch,
                             .prefill_tokens = work_.prefill_tokens,
                             .decode_tokens = work_.decode_tokens});
  }
  work_ = {};
  end_compute(prefill_share);
}

}  // namespace sluice::worker::pipeline
