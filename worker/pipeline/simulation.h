// How long a replica takes for some prompts, without computing a token: the batcher and the
// schedule of steps that a run executes, against a clock that advances by the times of single
// stages. Pure. Discrete events: whoever is free first acts next.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "worker/batch/batcher.h"
#include "worker/model/model.h"

namespace sluice::worker::pipeline {

struct Network {
  double latency_s = 0;
  double bytes_per_s = 1e9;
  double transfer_s(std::size_t bytes) const {
    return latency_s + static_cast<double>(bytes) / bytes_per_s;
  }
};

struct SimulatedReplica {
  std::vector<model::StageRange> ranges;  // by stage
  int hidden = 0;
  std::function<double(int stage, const batch::BatchPlan& plan)> layers_s;
  std::function<double(int stage, int tokens)> head_s;  // for the stage's rows of the head
  Network network = {};
  double leader_s = 0;  // what the leader does for each micro-batch beside computing
};

struct SimulatedRun {
  double wall_s = 0;
  std::vector<double> compute_s = {};  // by stage
  std::int64_t micro_batches = 0;
};

// `next`: the sequences, in the order in which the leader would have them; nothing: no more.
// Answers are as long as they may be.
SimulatedRun simulate(const SimulatedReplica& replica, batch::Batcher batcher,
                      const std::function<std::optional<batch::Sequence>()>& next);

}  // namespace sluice::worker::pipeline
