// Which layers each stage holds: contiguous ranges that make the costliest stage as cheap as can
// be. Costs are those of the job's own mix of tokens: layers compute every token, the head only
// those that continue an answer. Pure.
#pragma once

#include <string>
#include <vector>

#include "worker/model/model.h"

namespace sluice::worker::pipeline {

struct TokenMix {
  double prompt_tokens = 1;  // of a usual prompt
  double output_tokens = 1;
};

// In multiply-adds, or what takes as long.
struct PartitionCosts {
  std::vector<double> layers;  // of one prompt, each layer
  double head = 0;             // of one prompt
};
// `batch_size`: of a micro-batch, whose tokens share the cost of reading the weights.
PartitionCosts costs_of(const model::Model& model, const TokenMix& mix, int batch_size);

// Exact, by dynamic programming. Every stage holds a layer, except that the last may hold the head
// alone. Throws worker::Error when there are more stages than that allows.
std::vector<model::StageRange> partition(const PartitionCosts& costs, int stages);

double stage_cost(const PartitionCosts& costs, const model::StageRange& range);
std::string to_string(const std::vector<model::StageRange>& ranges);  // "0-18 | 19-29 + head"

}  // namespace sluice::worker::pipeline
