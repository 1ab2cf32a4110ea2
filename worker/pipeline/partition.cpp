#include "worker/pipeline/partition.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "worker/error.h"

namespace sluice::worker::pipeline {
namespace {

// What takes as long as one multiply-add of a layer's product between 8-bit integers: a step's time
// over its tokens (tests/bench/simulate_pipeline.cpp shows them), on one core with AVX-512 VNNI,
// SmolLM2-135M Q4_1 and Gemma 3 270M Q4_K_M.
struct Rates {
  double product;         // a multiply-add
  double weight_byte;     // read for a micro-batch, which waits for it when its tokens are few
  double expanded_value;  // of a weight that is expanded to fp32 for a micro-batch
  double attention;       // a multiply-add of attention
  // Of a layer's product that the head takes, which is one long stream and has no norms, roundings
  // and activations beside it.
  double head_share;
};
Rates rates_of(kernels::Precision precision) {
  switch (precision) {
    case kernels::Precision::fast:
      return {.product = 1,
              .weight_byte = 5.5,
              .expanded_value = 0,
              .attention = 3,
              .head_share = 0.85};
    case kernels::Precision::high:
      return {.product = 1.85,
              .weight_byte = 5.5,
              .expanded_value = 0,
              .attention = 3,
              .head_share = 0.85};
    case kernels::Precision::exact:
      break;
  }
  return {.product = 2.5, .weight_byte = 0, .expanded_value = 7.5, .attention = 3, .head_share = 1};
}

struct Product {
  double multiply_adds, bytes;  // of one token; of the weights
};

// Of a token, when a micro-batch has `rows` of them.
double cost_per_token(const Product& product, const Rates& rates, double rows) {
  return std::max(product.multiply_adds * rates.product, product.bytes * rates.weight_byte / rows) +
         product.multiply_adds * rates.expanded_value / rows;
}

// What a token costs, counted from shapes, types and Rates.
class CostModel {
 public:
  CostModel(const model::Model& model, const TokenMix& mix, int batch_size,
            kernels::Precision precision)
      : model_(model), mix_(mix), batch_size_(batch_size), rates_(rates_of(precision)) {}

  double prefill(int layer) const {
    return cost_per_token(product(layer), rates_, kPieceRows) +
           attention(layer, mix_.prompt_tokens / 2);
  }
  double decode(int layer) const {
    return cost_per_token(product(layer), rates_, batch_size_) +
           attention(layer, mix_.prompt_tokens + mix_.output_tokens / 2);
  }
  double head() const { return head(batch_size_); }
  double scoring_head() const { return head(kPieceRows); }

 private:
  static constexpr double kPieceRows = 64;  // pieces of prompts are large

  double head(double rows) const {
    const Product head{model_.head_cost(),
                       static_cast<double>(model_.weight_bytes({.has_head = true}))};
    return rates_.head_share * cost_per_token(head, rates_, rows);
  }
  Product product(int layer) const {
    return {model_.layer_cost(layer),
            static_cast<double>(model_.weight_bytes({.first = layer, .end = layer + 1}))};
  }
  double attention(int layer, double context) const {
    const model::ModelConfig& config = model_.config();
    if (config.is_windowed[static_cast<std::size_t>(layer)]) {
      context = std::min(context, static_cast<double>(config.window));
    }
    return 2.0 * config.heads * config.head_dim * context * rates_.attention;
  }

  const model::Model& model_;
  const TokenMix& mix_;
  int batch_size_;
  Rates rates_;
};

}  // namespace

TokenCosts token_costs(const model::Model& model, int layers, const TokenMix& mix, int batch_size,
                       kernels::Precision precision) {
  const CostModel counted(model, mix, batch_size, precision);
  TokenCosts costs{.head = counted.head(), .scoring_head = counted.scoring_head()};
  for (int layer = 0; layer < layers; ++layer) {
    costs.prefill += counted.prefill(layer);
    costs.decode += counted.decode(layer);
  }
  return costs;
}

PartitionCosts costs_of(const model::Model& model, const TokenMix& mix, int batch_size,
                        kernels::Precision precision, const CostScales& scales) {
  const CostModel counted(model, mix, batch_size, precision);
  const int layers = model.config().layers;
  PartitionCosts costs;
  costs.vocab = model.config().vocab;
  for (int layer = 0; layer < layers; ++layer) {
    const double prefill = scales.prefill * mix.prompt_tokens * counted.prefill(layer);
    const double decode = scales.decode * mix.output_tokens * counted.decode(layer);
    costs.layers.push_back(prefill + decode);
    if (mix.scored_tokens == 0) costs.prefill_share += prefill / (prefill + decode) / layers;
  }
  costs.head = scales.head * mix.output_tokens * counted.head() +
               scales.scoring_head * mix.scored_tokens * counted.scoring_head();
  return costs;
}

double stage_cost(const PartitionCosts& costs, const model::StageRange& range) {
  return std::accumulate(costs.layers.begin() + range.first, costs.layers.begin() + range.end,
                         costs.head * head_rows(range, costs.vocab).count() / costs.vocab);
}

double largest_cost(const PartitionCosts& costs, const std::vector<model::StageRange>& ranges) {
  double largest = 0;
  for (const auto& range : ranges) largest = std::max(largest, stage_cost(costs, range));
  return largest;
}

double cost_by_phase(const PartitionCosts& costs, const std::vector<model::StageRange>& ranges) {
  double prefill = 0, decode = 0;
  for (const model::StageRange& range : ranges) {
    const double of_prompts =
        costs.prefill_share *
        std::accumulate(costs.layers.begin() + range.first, costs.layers.begin() + range.end, 0.0);
    prefill = std::max(prefill, of_prompts);
    decode = std::max(decode, stage_cost(costs, range) - of_prompts);
  }
  return prefill + decode;
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

std::vector<model::StageRange> partition_with_split_head(const PartitionCosts& costs, int stages) {
  if (stages > static_cast<int>(costs.layers.size())) return partition(costs, stages);
  // Cut from the end, so that where layers cannot be even the first stages have more of them and
  // the last more of the head (four stages of SmolLM2-135M, simulated: 5 % better than the other
  // way).
  const std::vector<double> reversed(costs.layers.rbegin(), costs.layers.rend());
  std::vector<model::StageRange> ranges = partition({.layers = reversed}, stages);
  std::ranges::reverse(ranges);
  const int layers = static_cast<int>(costs.layers.size());
  for (model::StageRange& range : ranges) {
    range = {.first = layers - range.end,
             .end = layers - range.first,
             .has_embedding = range.has_head,
             .has_head = range.has_embedding};
  }
  std::vector<double> of_layers;
  for (model::StageRange& range : ranges) {
    range.head_is_split = true;
    of_layers.push_back(stage_cost(costs, range) * (1 - costs.prefill_apart * costs.prefill_share));
  }
  // The level to which the head fills up the stages that are below it.
  std::vector<double> ascending = of_layers;
  std::ranges::sort(ascending);
  double level = 0, below = 0;
  for (std::size_t filled = 1; filled <= ascending.size(); ++filled) {
    below += ascending[filled - 1];
    level = (below + costs.head) / static_cast<double>(filled);
    if (filled == ascending.size() || level <= ascending[filled]) break;
  }
  // Borders of shards lie on whole blocks.
  constexpr int block = kernels::kHeadBlockRows;
  double share = 0;  // of the head, up to here
  int first = 0;
  for (std::size_t s = 0; s < ranges.size(); ++s) {
    share += costs.head > 0 ? std::max(0.0, level - of_layers[s]) / costs.head : 0;
    const int end =
        s + 1 == ranges.size()
            ? costs.vocab
            : std::clamp(static_cast<int>(std::lround(share * costs.vocab / block)) * block, first,
                         costs.vocab);
    ranges[s].shard = {.first = first, .end = end};
    first = end;
  }
  return ranges;
}

std::vector<model::StageRange> best_partition(const PartitionCosts& costs, int stages,
                                              HeadSplit head_split) {
  const auto whole = partition(costs, stages);
  if (stages == 1 || head_split == HeadSplit::never) return whole;
  const auto split = partition_with_split_head(costs, stages);
  const bool pays =
      cost_by_phase(costs, split) < (1 - kHeadSplitGain) * cost_by_phase(costs, whole);
  return head_split == HeadSplit::always || pays ? split : whole;
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
