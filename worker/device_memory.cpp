#include "worker/device_memory.h"

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "worker/error.h"
#include "worker/model/forward.h"
#include "worker/model/kv_pages.h"
#include "worker/pipeline/partition.h"

namespace sluice::worker {
namespace {

struct Demand {
  std::uint64_t weights = 0, kv = 0, activations = 0;
  std::uint64_t total() const { return weights + kv + activations + kDeviceReserveBytes; }
};

// Activations that come in and go out, of the micro-batch before too: the device's halves of blocks
// whose sizes are powers of two.
std::uint64_t transfer_bytes(const model::ModelConfig& config, const pipeline::Plan& plan) {
  return 4 * std::bit_ceil(static_cast<std::uint64_t>(plan.token_budget) *
                           static_cast<std::uint64_t>(config.hidden) * sizeof(float));
}

Demand demand_of(const model::Model& model, const pipeline::Plan& plan,
                 const model::StageRange& range, kernels::KvType kv_type,
                 const kernels::Backend& backend) {
  const model::ModelConfig& config = model.config();
  const auto pages = pages_of_sequence(kv_layout(config, plan.token_budget), plan.max_positions);
  const auto page = kv_page_bytes(config, range, kv_type);
  return {.weights = model.device_bytes(range, backend),
          .kv = page.full * static_cast<std::uint64_t>(pages.full) +
                page.ring * static_cast<std::uint64_t>(pages.ring),
          .activations =
              model::activation_bytes(config, plan.token_budget) + transfer_bytes(config, plan)};
}

// The fewest stages, more than the plan's, of which each would fit; 0: not even one of a layer
// each.
int stages_that_fit(const model::Model& model, const pipeline::Plan& plan, kernels::KvType kv_type,
                    const kernels::Backend& backend, std::uint64_t free_bytes) {
  const auto costs = pipeline::costs_of(model, {.prompt_tokens = 1, .output_tokens = 1},
                                        plan.batch_size, backend.precision());
  for (int stages = plan.stages() + 1; stages <= model.config().layers; ++stages) {
    const auto ranges = best_partition(costs, stages, pipeline::HeadSplit::when_it_pays);
    if (std::ranges::all_of(ranges, [&](const model::StageRange& range) {
          return demand_of(model, plan, range, kv_type, backend).total() <= free_bytes;
        })) {
      return stages;
    }
  }
  return 0;
}

std::string mebibytes(std::uint64_t bytes) {
  return std::to_string((bytes + 1048575) >> 20) + " MiB";
}

}  // namespace

void require_device_memory(const model::Model& model, const pipeline::Plan& plan,
                           const model::StageRange& range, kernels::KvType kv_type,
                           const kernels::Backend& backend) {
  const auto free_bytes = backend.free_bytes();
  const Demand demand = demand_of(model, plan, range, kv_type, backend);
  if (!free_bytes || demand.total() <= *free_bytes) return;
  const int stages = stages_that_fit(model, plan, kv_type, backend, *free_bytes);
  throw Error("layers " + to_string(range) + " do not fit into the GPU, which has " +
              mebibytes(*free_bytes) + " free: " + mebibytes(demand.weights) + " of weights, " +
              mebibytes(demand.kv) + " for the KV cache of a sequence of " +
              std::to_string(plan.max_positions) + " positions, " +
              mebibytes(demand.activations + kDeviceReserveBytes) + " for the rest; " +
              (stages > 0 ? "with " + std::to_string(stages) +
                                " stages each would fit, or lower max-seq-len"
                          : "lower max-seq-len or token-budget, or take a smaller model"));
}

std::optional<std::uint64_t> device_kv_bytes(const model::Model& model, const pipeline::Plan& plan,
                                             const kernels::Backend& backend) {
  const auto free_bytes = backend.free_bytes();
  if (!free_bytes) return std::nullopt;
  const std::uint64_t others = kDeviceReserveBytes +
                               model::activation_bytes(model.config(), plan.token_budget) +
                               transfer_bytes(model.config(), plan);
  return *free_bytes - std::min(*free_bytes, others);
}

}  // namespace sluice::worker
