#include "worker/engine.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "jobs/files.h"
#include "worker/error.h"

namespace sluice::worker {
namespace {

int kv_room(const model::ModelConfig& config, const model::StageRange& range,
            const pipeline::Plan& plan, const EngineNeeds& needs) {
  const kernels::KvShape page{.layers = range.layers(),
                              .kv_heads = config.kv_heads,
                              .head_dim = config.head_dim,
                              .pages = 1};
  return model::pages_wanted({.max_seq_len = plan.max_positions,
                              .max_tokens = needs.max_tokens,
                              .batch_size = plan.batch_size,
                              .stages = plan.stages(),
                              .prompts = needs.prompts},
                             kernels::kv_bytes_per_page(page), needs.memory_bytes);
}

}  // namespace

Engine::Engine(pipeline::Link& world, const model::Model& model, const pipeline::Plan& plan,
               const EngineNeeds& needs)
    : world_(world), clock_([this] { return jobs::steady_time_s() + offset_.offset_s; }) {
  const model::StageRange& range = plan.range(world.rank());
  model::StageWeights weights;
  pipeline::Readiness mine;
  try {
    backend_ = needs.make_backend();
    weights = model::load_stage(model, range, plan.max_positions, *backend_);
    mine.kv_pages = kv_room(model.config(), range, plan, needs);
  } catch (const std::exception& error) {
    mine.problem = error.what();
  }
  const pipeline::Readiness all = settle(world, mine);
  if (!all.problem.empty()) throw Error(all.problem);
  kv_pages_ = all.kv_pages;
  forward_ = std::make_unique<model::Forward>(
      *backend_, model.config(), std::move(weights),
      model::ForwardLimits{.rows_max = plan.token_budget, .kv_pages = kv_pages_});
  offset_ = align_clocks(world);
  stage_ = std::make_unique<pipeline::Stage>(
      world, *forward_, plan.place(world.rank()),
      batch::PlanLimits{.rows = plan.token_budget, .pages = kv_pages_}, clock_);
}

double Engine::clock_error_s() {
  const pipeline::ClockOffset again = align_clocks(world_);
  return std::max(offset_.error_s, again.error_s) + std::abs(again.offset_s - offset_.offset_s);
}

}  // namespace sluice::worker
