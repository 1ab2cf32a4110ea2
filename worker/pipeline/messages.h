// What travels between stages: {plan, activations} downwards, where the head is split its input to
// those that hold some of it, chosen tokens back to the leader, and the word to stop. Each carries
// when its sender began to send, so that the receiver can divide its wait. Values and their bytes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
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

// For progress: seconds that each stage so far has computed in all, by stage. Of more stages nobody
// is told.
using ComputedSeconds = std::vector<float>;
inline constexpr std::size_t kStagesTold = 256;

// A work message with room for `floats` activations, which lie aligned at its end.
Bytes make_work(const batch::BatchPlan& plan, double window_opened_s, std::size_t floats,
                const ComputedSeconds& computed_s = {});
std::span<float> activations_of(Bytes& work, std::size_t floats);
Bytes make_stop(const Window& window);

void stamp_sent(Bytes& message, double sent_s);

struct Work {
  Stamp stamp;
  bool stop = false;  // then nothing below
  batch::BatchPlan plan;
  ComputedSeconds computed_s;
  std::span<const float> activations;  // (plan.rows(), hidden), in the message
};
// Throws worker::Error on anything that make_work and make_stop do not make.
Work read_work(const Bytes& message, const batch::PlanLimits& limits, std::size_t hidden);

// What the head is to see of the rows that want a token, for the stages that hold some of it.
struct HeadWork {
  double sent_s = 0;
  std::uint64_t step = 0;
  double prefill_share = 0;  // of the micro-batch
  bool has_draws = false;
  std::vector<float> hidden;  // (rows that want one, hidden)
};
Bytes make_head_work(const HeadWork& work);
// Throws worker::Error when it is not whole rows, or more than `limits` allow.
HeadWork read_head_work(const Bytes& message, const batch::PlanLimits& limits, std::size_t hidden);

// How the tokens of a micro-batch are drawn, for the stages that hold some of the head.
struct Draws {
  std::uint64_t step = 0;
  std::vector<sampling::Draw> draws;  // of the segments that want a token, in their order
};
Bytes make_draws(const Draws& draws);
Draws read_draws(const Bytes& message);

// What one stage that holds some or all of the head chose: of each segment that wanted a token, in
// their order, the best among its rows; or where tokens are drawn, what its rows say, and the token
// where they are all rows.
struct Choice {
  double sent_s = 0;
  std::uint64_t step = 0;
  std::vector<kernels::Candidate> best = {};
  std::vector<sampling::Finding> findings = {};
  std::vector<sampling::Drawn> drawn = {};
  ComputedSeconds computed_s = {};
};
Bytes make_choice(const Choice& choice);
Choice read_choice(const Bytes& message);

// What the leader gets of a micro-batch.
struct Tokens {
  double sent_s = 0;  // when the last of its choices was
  std::uint64_t step = 0;
  std::vector<sampling::Drawn> drawn;  // of the segments that wanted one, in their order
  ComputedSeconds computed_s = {};     // of all stages, by the last one's choice
};
// Choices of all parts of the head, in order of their rows, of one step; `draws` as in MicroBatch.
// Throws worker::Error when they are not.
Tokens combine(std::span<const Choice> choices, std::span<const sampling::Draw> draws);

// The largest message on each channel; others travel in pieces.
std::size_t work_bytes_max(const batch::PlanLimits& limits, std::size_t hidden);
std::size_t head_work_bytes_max(const batch::PlanLimits& limits, std::size_t hidden);

}  // namespace sluice::worker::pipeline
