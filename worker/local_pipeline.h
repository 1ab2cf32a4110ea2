// Whole replicas in one process: every rank a thread, rank 0 on the caller's. For `generate` and
// for tests; a job's ranks are processes (run.h).
#pragma once

#include <functional>

#include "worker/engine.h"
#include "worker/pipeline/local_link.h"

namespace sluice::worker {

struct LocalPipeline {
  const model::Model& model;
  const pipeline::Plan& plan;
  std::function<EngineSetup(int rank)> setup;
  // Runs the Leader of a replica, on the thread of its rank.
  std::function<void(pipeline::Link& world, Engine& engine)> lead;
  // Called on each rank's thread when its window has closed, one rank at a time; may be empty.
  std::function<void(int rank, Engine& engine)> at_end = {};
};

// `world` has a rank for each stage of each replica. Throws what the first failing rank threw.
void run_locally(pipeline::LocalWorld& world, const LocalPipeline& pipeline);

}  // namespace sluice::worker
