// What travels between stages: {plan, activations} downwards, chosen tokens back to the leader, and
// the word to stop. Each carries when its sender began to send, so that the receiver can divide its
// wait. Values and their bytes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/batch/batch_plan.h"
#include "worker/pipeline/link.h"

namespace sluice::worker::pipeline {

// World times.
struct Window {
  double opened_s = 0;
  double closed_s = 0;  // not known before the message to stop
};
struct Stamp {
  double sent_s = 0;  // when the sender began to send
  Window window;
};

// A work message with room for `floats` activations, which lie aligned at its end.
Bytes make_work(const batch::BatchPlan& plan, double window_opened_s, std::size_t floats);
std::span<float> activations_of(Bytes& work, std::size_t floats);
Bytes make_stop(const Window& window);

void stamp_sent(Bytes& message, double sent_s);

struct Work {
  Stamp stamp;
  bool stop = false;  // then nothing below
  batch::BatchPlan plan;
  std::span<const float> activations;  // (plan.rows(), hidden), in the message
};
// Throws worker::Error on anything that make_work and make_stop do not make.
Work read_work(const Bytes& message, const batch::PlanLimits& limits, std::size_t hidden);

struct Tokens {
  double sent_s = 0;
  std::uint64_t step = 0;
  std::vector<std::int32_t> ids;  // of the segments that wanted one, in their order
};
Bytes make_tokens(const Tokens& tokens);
Tokens read_tokens(const Bytes& message);

// The largest message on each channel.
std::size_t work_bytes_max(const batch::PlanLimits& limits, std::size_t hidden);
std::size_t tokens_bytes_max(const batch::PlanLimits& limits);

}  // namespace sluice::worker::pipeline
