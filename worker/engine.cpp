#include "worker/engine.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <new>
#include <utility>

#include "jobs/files.h"
#include "worker/device_memory.h"

namespace sluice::worker {
namespace {

model::KvRoom room_on_stage(const model::ModelConfig& config, const model::StageRange& range,
                            const pipeline::Plan& plan, const EngineSetup& setup,
                            double bytes_max) {
  return model::room_wanted({.max_seq_len = plan.max_positions,
                             .max_tokens = setup.max_tokens,
                             .batch_size = plan.batch_size,
                             .stages = plan.stages(),
                             .prompts = setup.prompts,
                             .prefix_sharing = plan.prefix_sharing,
                             .layout = kv_layout(config, plan.token_budget)},
                            model::kv_page_bytes(config, range, setup.kv_type), bytes_max);
}

// What went wrong in `build`, as a sentence; empty: nothing.
std::string problem_in(const model::StageRange& range, const std::function<void()>& build) {
  try {
    build();
    return {};
  } catch (const std::bad_alloc&) {
    return "there is not enough memory here for layers " + to_string(range) +
           " and their KV cache: lower max-seq-len or batch-size, or take more nodes";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

Engine::Engine(pipeline::Link& world)
    : world_(world), clock_([this] { return jobs::steady_time_s() + offset_.offset_s; }) {}

Engine::Loaded Engine::load(pipeline::Link& world, const model::Model& model,
                            const pipeline::Plan& plan, const EngineSetup& setup) {
  const model::StageRange& range = plan.range(world.rank());
  std::unique_ptr<Engine> engine(new Engine(world));
  model::StageWeights weights;
  pipeline::Readiness ready;
  ready.problem = problem_in(range, [&] {
    engine->backend_ = setup.make_backend();
    require_device_memory(model, plan, range, setup.kv_type, *engine->backend_);
    weights = model::load_stage(model, range, *engine->backend_);
    const auto of_device = device_kv_bytes(model, plan, *engine->backend_);
    ready.kv_room =
        room_on_stage(model.config(), range, plan, setup,
                      of_device ? static_cast<double>(*of_device)
                                : model::kKvMemoryShare * static_cast<double>(setup.memory_bytes));
  });
  ready = settle(world, plan.hosts, ready);
  if (!ready.problem.empty()) return {.problem = ready.problem};

  // The cache has as many pages as the smallest stage: it can only be made now.
  engine->kv_room_ = ready.kv_room;
  ready.problem = problem_in(range, [&] {
    engine->forward_ = std::make_unique<model::Forward>(
        *engine->backend_, model.config(), std::move(weights),
        model::ForwardLimits{
            .rows_max = plan.token_budget, .kv_room = engine->kv_room_, .kv_type = setup.kv_type});
    engine->stage_ = std::make_unique<pipeline::Stage>(
        world, *engine->forward_, plan.place(world.rank()), plan.ranges,
        batch::PlanLimits{.rows = plan.token_budget, .pages = engine->kv_room_}, engine->clock_);
  });
  ready = settle(world, plan.hosts, ready);
  if (!ready.problem.empty()) return {.problem = ready.problem};

  engine->offset_ = align_clocks(world);
  return {.problem = {}, .engine = std::move(engine)};
}

void Engine::realign_clocks() {
  const pipeline::ClockOffset again = align_clocks(world_);
  clock_error_s_ =
      std::max(offset_.error_s, again.error_s) + std::abs(again.offset_s - offset_.offset_s);
}

}  // namespace sluice::worker
