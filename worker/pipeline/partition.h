// Which layers each stage holds: contiguous ranges that make the costliest stage as cheap as can
// be. Costs are those of the job's own mix of tokens: layers compute every token, the head only
// those that continue an answer, or are scored. Pure.
#pragma once

#include <string>
#include <vector>

#include "worker/model/model.h"

namespace sluice::worker::pipeline {

struct TokenMix {
  double prompt_tokens = 1;  // of a usual prompt
  double output_tokens = 1;
  double scored_tokens = 0;  // of the prompt's
};

// In multiply-adds of a layer's product, or what takes as long.
struct PartitionCosts {
  std::vector<double> layers;  // of one prompt, each layer
  double prefill_share = 0;    // of a layer's cost: of tokens that need no head
  double prefill_apart = 0;    // share of the prompts that no answers of others ride with
  double head = 0;             // of one prompt
  int vocab = 1;               // rows of the head
};

// What counted costs are multiplied by, to be in proportion to a machine's seconds (calibrate.h).
struct CostScales {
  double prefill = 1, decode = 1;  // of layers
  double head = 1, scoring_head = 1;
};

// `batch_size`: of a micro-batch, whose tokens share the cost of reading the weights.
PartitionCosts costs_of(const model::Model& model, const TokenMix& mix, int batch_size,
                        kernels::Precision precision, const CostScales& scales = {});

// The same as counted, of one token: layers [0, layers) in a piece of a prompt and where it
// continues an answer, and the whole head.
struct TokenCosts {
  double prefill = 0, decode = 0, head = 0;
  double scoring_head = 0;  // where the head sees a piece of a text at once
};
TokenCosts token_costs(const model::Model& model, int layers, const TokenMix& mix, int batch_size,
                       kernels::Precision precision);

// Exact, by dynamic programming. Every stage holds a layer, except that the last may hold the head
// alone. Throws worker::Error when there are more stages than that allows.
std::vector<model::StageRange> partition(const PartitionCosts& costs, int stages);

// The rows of the head are spread over the stages: layers are divided as well as they can be by
// themselves, then the head fills up what each stage has less than the others; not what it has less
// in prefill that runs apart, where no head can fill anything.
// Throws as above; every stage holds a layer.
std::vector<model::StageRange> partition_with_split_head(const PartitionCosts& costs, int stages);

enum class HeadSplit { when_it_pays, always, never };
inline constexpr double kHeadSplitGain = 0.02;  // that it has to bring: it costs messages

// The better of the two.
std::vector<model::StageRange> best_partition(const PartitionCosts& costs, int stages,
                                              HeadSplit head_split);

double stage_cost(const PartitionCosts& costs, const model::StageRange& range);
double largest_cost(const PartitionCosts& costs, const std::vector<model::StageRange>& ranges);
// What stages take that wait for each other in prefill and in decode: a stage of many layers and
// one that holds the head may have equal sums, and yet each be late in its turn.
double cost_by_phase(const PartitionCosts& costs, const std::vector<model::StageRange>& ranges);
std::string to_string(const std::vector<model::StageRange>& ranges);  // "0-18 | 19-29 + head"

}  // namespace sluice::worker::pipeline
