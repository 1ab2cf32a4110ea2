// What a stage does with one micro-batch, step by step, as data: the stage only executes it.
// Another layout of the work (a head whose rows are spread over stages) is other steps, not another
// stage. Pure.
#pragma once

#include <vector>

#include "worker/model/model.h"

namespace sluice::worker::pipeline {

enum class StepKind {
  embed,                // the leader's own tokens become activations
  receive_activations,  // plan and activations from `peer`
  layers,               // all this stage holds
  select,               // the best token of every row that wants one
  send_activations,     // plan and activations to `peer`
  send_tokens,          // chosen tokens to `peer`, the leader
};

struct Step {
  StepKind kind = StepKind::layers;
  int peer = -1;  // rank; -1: none

  bool operator==(const Step&) const = default;
};

// Where a rank stands: stage s of a replica is rank leader + s.
struct Place {
  int leader = 0;  // rank of the replica's first stage
  int stage = 0;
  int stages = 1;
};

std::vector<Step> schedule(const Place& place, const model::StageRange& range);

}  // namespace sluice::worker::pipeline
