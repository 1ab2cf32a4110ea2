// What all ranks of a world must agree on before one of them reads a weight: each says what it
// sees, rank 0 decides the layout and tells everyone, or tells everyone why there is none. Nobody
// is left waiting: an outcome, good or bad, is the same on every rank.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "worker/batch/batch_plan.h"
#include "worker/model/kv_pages.h"
#include "worker/model/model.h"
#include "worker/pipeline/link.h"
#include "worker/pipeline/schedule.h"

namespace sluice::worker::pipeline {

// The GPU that a rank could compute on.
struct GpuOffer {
  std::string problem = "not looked for";  // why there is none; empty: there is one
  std::string name = {}, id = {}, capability = {};  // kernels/cuda.h; "7.5"
};

// What one rank sees.
struct Offer {
  std::string host;
  std::string problem = {};  // the job or the model cannot be opened here; empty: all is well
  std::uint64_t model_bytes = 0;
  std::string fingerprint = {};  // the model's
  GpuOffer gpu = {};
};

// How the work is laid out. The same value on every rank.
struct Plan {
  std::vector<model::StageRange> ranges;  // by stage
  std::vector<std::string> hosts;         // by rank
  int batch_size = 0;
  int token_budget = 0;
  int max_positions = 0;  // of a sequence: prompt + output tokens
  bool prefix_sharing = false;
  std::string backend = "cpu";  // backend_choice.h

  int stages() const { return static_cast<int>(ranges.size()); }
  int replica(int rank) const { return rank / stages(); }
  bool leads(int rank) const { return place(rank).stage == 0; }
  Place place(int rank) const {
    return {.leader = rank - rank % stages(), .stage = rank % stages(), .stages = stages()};
  }
  const model::StageRange& range(int rank) const {
    return ranges[static_cast<std::size_t>(place(rank).stage)];
  }
};

struct Agreement {
  std::string problem;  // empty: all agree on the plan
  Plan plan = {};
};

// Collective; open_control() first. `decide` is called on rank 0 alone, with everyone's offers, when
// all fit each other; what it throws becomes everyone's problem. It need not fill in hosts.
using Decide = std::function<Plan(std::span<const Offer> offers)>;
Agreement agree(Link& world, const Offer& mine, const Decide& decide);

// After loading: what went wrong here, or what KV room this stage has.
struct Readiness {
  std::string problem;
  model::KvRoom kv_room;
};
// Collective: the first rank's problem and which rank it is (`hosts` by rank, may be empty), or the
// smallest room of all.
Readiness settle(Link& world, const std::vector<std::string>& hosts, const Readiness& mine);

}  // namespace sluice::worker::pipeline
