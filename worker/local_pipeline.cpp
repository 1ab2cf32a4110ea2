#include "worker/local_pipeline.h"

#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace sluice::worker {

LeaderReport run_locally(pipeline::LocalWorld& world, const LocalPipeline& pipeline,
                         LeaderPorts ports) {
  LeaderReport report;
  std::mutex mutex;  // of the two below
  std::exception_ptr first_failure;

  const auto run_rank = [&](int rank) {
    try {
      const auto link = world.link(rank);
      open_control(*link);
      Engine engine(*link, pipeline.model, pipeline.plan, pipeline.needs(rank));
      if (rank == 0) {
        batch::Batcher batcher({.batch_size = pipeline.plan.batch_size,
                                .token_budget = pipeline.plan.token_budget,
                                .stages = pipeline.plan.stages()},
                               model::PagePool(engine.kv_pages()));
        Leader leader(pipeline.model, pipeline.rules, engine.stage(), engine.clock(),
                      std::move(batcher), std::move(ports));
        report = leader.run();
      } else {
        engine.stage().serve();
      }
      const std::lock_guard lock(mutex);
      if (pipeline.at_end) pipeline.at_end(rank, engine);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!first_failure) first_failure = std::current_exception();
      world.abort();
    }
  };

  {
    std::vector<std::jthread> followers;
    for (int rank = 1; rank < world.size(); ++rank) followers.emplace_back(run_rank, rank);
    run_rank(0);
  }
  if (first_failure) std::rethrow_exception(first_failure);
  return report;
}

}  // namespace sluice::worker
