// What a model holds of the next token, computed without a pipeline.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/model/model.h"

namespace sluice::worker {

// All logits after `prompt`, computed in chunks, with KV pages out of order.
std::vector<float> logits_of(const model::Model& model, const std::vector<std::int32_t>& prompt,
                             int chunk);

}  // namespace sluice::worker
