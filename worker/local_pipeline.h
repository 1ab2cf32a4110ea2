// A whole replica in one process: every stage a thread, the leader on the caller's. For `generate`
// and for tests; a job's ranks are processes (run.h).
#pragma once

#include <functional>

#include "worker/engine.h"
#include "worker/intake.h"
#include "worker/leader.h"
#include "worker/pipeline/local_link.h"

namespace sluice::worker {

struct LocalPipeline {
  const model::Model& model;
  const pipeline::Plan& plan;
  const IntakeRules& rules;
  std::function<EngineSetup(int rank)> setup;
  // Called on each rank's thread when its window has closed, one rank at a time; may be empty.
  std::function<void(int rank, Engine& engine)> at_end = {};
};

// `world` has a rank for each stage. Throws what the first failing rank threw.
LeaderReport run_locally(pipeline::LocalWorld& world, const LocalPipeline& pipeline,
                         LeaderPorts ports);

}  // namespace sluice::worker
