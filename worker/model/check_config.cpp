#include "worker/model/check_config.h"

#include <cmath>
#include <set>

#include "worker/error.h"
#include "worker/model/printable.h"

namespace sluice::worker::model {
namespace {

std::string to_string(std::size_t rows, std::size_t cols) {
  return "(" + std::to_string(rows) + ", " + std::to_string(cols) + ")";
}

}  // namespace

void apply(const Family& family, ModelConfig& config) {
  config.architecture = family.name.empty() ? family.model_type : family.name;
  config.activation = family.activation;
  config.qkv_bias = family.qkv_bias;
  config.qk_norm = family.qk_norm;
  config.post_norms = family.post_norms;
}

void set_windows(int full_every, ModelConfig& config) {
  config.is_windowed.resize(static_cast<std::size_t>(config.layers));
  for (int layer = 0; layer < config.layers; ++layer) {
    config.is_windowed[static_cast<std::size_t>(layer)] =
        config.window > 0 && (full_every == 0 || (layer + 1) % full_every != 0);
  }
}

void check_heads(const std::string& path, const ModelConfig& config) {
  if (config.heads % config.kv_heads != 0) {
    throw Error(path + ": " + std::to_string(config.heads) + " heads do not divide among " +
                std::to_string(config.kv_heads) + " KV heads");
  }
  if (config.head_dim < 2 || config.head_dim % 2 != 0) {
    throw Error(path + ": heads of " + std::to_string(config.head_dim) +
                " values cannot be rotated in pairs");
  }
  if (config.head_dim > kernels::kHeadDimMax) {
    throw Error(path + ": heads of " + std::to_string(config.head_dim) + " values, more than the " +
                std::to_string(kernels::kHeadDimMax) + " that this version computes");
  }
}

void check_tensors(const std::string& path, const WeightFiles& weights,
                   const std::function<bool(std::string_view)>& has_no_effect,
                   ModelConfig& config) {
  const TensorInfo* embedding = weights.find(embedding_tensor(config).name);
  const std::size_t vocab = embedding ? embedding->rows : 0;
  if (vocab > static_cast<std::size_t>(kDimensionMax)) {
    throw Error(path + ": the vocabulary is impossibly large");
  }
  config.vocab = static_cast<int>(vocab);

  std::set<std::string, std::less<>> known;
  const auto require = [&](const TensorShape& wanted) {
    const TensorInfo* tensor = weights.find(wanted.name);
    if (!tensor) {
      throw Error(path + ": tensor " + printable(wanted.name) +
                  " is missing; convert the model again");
    }
    if (tensor->rows != wanted.rows || tensor->cols != wanted.cols) {
      throw Error(path + ": tensor " + printable(wanted.name) + " is " +
                  to_string(tensor->rows, tensor->cols) + ", but the metadata make it " +
                  to_string(wanted.rows, wanted.cols));
    }
    known.insert(wanted.name);
  };
  require(embedding_tensor(config));
  require(final_norm_tensor(config));
  if (!config.tied_head) require(head_tensor(config));
  for (int layer = 0; layer < config.layers; ++layer) {
    for (const LayerTensor& tensor : layer_tensors(config, layer)) require(tensor.shape);
  }
  for (const TensorInfo& tensor : weights.tensors()) {
    if (known.contains(tensor.name) || has_no_effect(tensor.name)) continue;
    throw Error(path + ": tensor " + printable(tensor.name) +
                " is not supported by this version in architecture " +
                printable(config.architecture) +
                " (other biases, experts and further norms are not)");
  }
}

}  // namespace sluice::worker::model
