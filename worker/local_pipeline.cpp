#include "worker/local_pipeline.h"

#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "worker/error.h"

namespace sluice::worker {

void run_locally(pipeline::LocalWorld& world, const LocalPipeline& pipeline) {
  std::mutex mutex;  // of the two below
  std::exception_ptr first_failure;

  const auto run_rank = [&](int rank) {
    try {
      const auto link = world.link(rank);
      open_control(*link);
      const Engine::Loaded loaded =
          Engine::load(*link, pipeline.model, pipeline.plan, pipeline.setup(rank));
      if (!loaded.problem.empty()) throw Error(loaded.problem);
      Engine& engine = *loaded.engine;
      if (pipeline.plan.leads(rank)) {
        pipeline.lead(*link, engine);
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
}

}  // namespace sluice::worker
