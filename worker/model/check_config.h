// What any source of a configuration has to pass before it is believed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "worker/model/config.h"
#include "worker/model/family.h"
#include "worker/model/weight_files.h"

namespace sluice::worker::model {

inline constexpr std::int64_t kDimensionMax = 1 << 24;  // of any size that a model's files state

// Takes over what the family says of itself. Before anything else is read.
void apply(const Family& family, ModelConfig& config);

// Which layers have a window, by the family's rule with `full_every`. Requires: config.layers.
void set_windows(int full_every, ModelConfig& config);

// Heads that divide and can be rotated. Throws worker::Error, which begins with `path`.
void check_heads(const std::string& path, const ModelConfig& config);

// Every tensor that the model needs is there with its shape, and no other is, except those that
// `has_no_effect` names: a bias or an expert left out would change the answers in silence.
// Sets config.vocab from the embedding. Throws worker::Error, which begins with `path`.
void check_tensors(const std::string& path, const WeightFiles& weights,
                   const std::function<bool(std::string_view)>& has_no_effect, ModelConfig& config);

}  // namespace sluice::worker::model
