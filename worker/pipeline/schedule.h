// What a stage does with one micro-batch, step by step, as data: the stage only executes it. A head
// whose rows are spread over stages is other steps, not another stage. Pure.
#pragma once

#include <span>
#include <vector>

#include "worker/model/model.h"

namespace sluice::worker::pipeline {

enum class StepKind {
  embed,                // the leader's own tokens become activations
  receive_activations,  // plan and activations from `peer`
  layers,               // all this stage holds
  send_activations,     // plan and activations to `peer`
  final_norm,           // what a split head is to see of the rows that want a token
  send_hidden,          // that, to `peer`
  receive_hidden,       // that, from `peer`
  select,               // the best token of every row that wants one, among the stage's rows of
                        // the head; or what they say where tokens are drawn
  send_choice,          // these to `peer`, the leader
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

struct Schedule {
  std::vector<Step> micro_batch;
  std::vector<Step> head;  // what a split head's input makes a stage do; empty: none comes

  bool operator==(const Schedule&) const = default;
};
// `ranges`: of all stages of the replica.
Schedule schedule(const Place& place, std::span<const model::StageRange> ranges);

// Ranks whose choices the leader needs for a micro-batch, in order.
std::vector<int> head_holders(const Place& place, std::span<const model::StageRange> ranges);

}  // namespace sluice::worker::pipeline
