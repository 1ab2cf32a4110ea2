#include "worker/pipeline/partition.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "worker/error.h"

namespace sluice::worker::pipeline {
namespace {

// Expanding a tile of quantised weights takes as long as multiplying it with so many tokens. A
// piece of a prompt has enough tokens to hide that, a decode step has not.
// Measured: the slope and the offset of a step's time over its tokens, on AVX-512.
constexpr double kExpansionTokens = 6;

}  // namespace

PartitionCosts costs_of(const model::Model& model, const TokenMix& mix, int batch_size) {
  PartitionCosts costs;
  const double decode = mix.output_tokens * (1 + kExpansionTokens / batch_size);
  for (int layer = 0; layer < model.config().layers; ++layer) {
    costs.layers.push_back(model.layer_cost(layer) * (mix.prompt_tokens + decode));
  }
  costs.head = model.head_cost() * decode;
  return costs;
}

double stage_cost(const PartitionCosts& costs, const model::StageRange& range) {
  return std::accumulate(costs.layers.begin() + range.first, costs.layers.begin() + range.end,
                         range.has_head ? costs.head : 0.0);
}

std::vector<model::StageRange> partition(const PartitionCosts& costs, int stages) {
  const int layers = static_cast<int>(costs.layers.size());
  if (stages < 1 || stages > layers + 1) {
    throw Error("a model of " + std::to_string(layers) + " layers cannot be split into " +
                std::to_string(stages) + " stages (at most " + std::to_string(layers + 1) +
                "): ask for fewer nodes, or for fewer stages with more replicas");
  }
  const auto range = [&](int stage, int first, int end) {
    return model::StageRange{
        .first = first, .end = end, .has_embedding = stage == 0, .has_head = stage == stages - 1};
  };
  // largest[s][n]: the costliest stage when stages 0..s hold the first n layers in the best way;
  // first[s][n]: where stage s begins then.
  constexpr double kImpossible = std::numeric_limits<double>::infinity();
  const auto columns = static_cast<std::size_t>(layers) + 1;
  std::vector largest(static_cast<std::size_t>(stages), std::vector(columns, kImpossible));
  std::vector first(static_cast<std::size_t>(stages), std::vector(columns, 0));
  for (int s = 0; s < stages; ++s) {
    const auto row = static_cast<std::size_t>(s);
    const int layers_min = s == stages - 1 && s > 0 ? 0 : 1;
    for (int end = s + layers_min; end <= layers; ++end) {
      for (int begin = s; begin <= end - layers_min; ++begin) {
        if (s == 0 && begin > 0) break;
        const double before = s == 0 ? 0 : largest[row - 1][static_cast<std::size_t>(begin)];
        const double cost = std::max(before, stage_cost(costs, range(s, begin, end)));
        if (cost < largest[row][static_cast<std::size_t>(end)]) {
          largest[row][static_cast<std::size_t>(end)] = cost;
          first[row][static_cast<std::size_t>(end)] = begin;
        }
      }
    }
  }
  std::vector<model::StageRange> ranges(static_cast<std::size_t>(stages));
  for (int s = stages - 1, end = layers; s >= 0; --s) {
    const int begin = first[static_cast<std::size_t>(s)][static_cast<std::size_t>(end)];
    ranges[static_cast<std::size_t>(s)] = range(s, begin, end);
    end = begin;
  }
  return ranges;
}

std::string to_string(const std::vector<model::StageRange>& ranges) {
  std::string text;
  for (const model::StageRange& range : ranges) {
    if (!text.empty()) text += " | ";
    text += model::to_string(range);
  }
  return text;
}

}  // namespace sluice::worker::pipeline
