#include "worker/model/config.h"

#include <iterator>

#include "kernels/portable_math.h"

namespace sluice::worker::model {
namespace {

struct PartNames {
  std::string_view gguf, hugging_face;
};

// Source: transformers' modules of each family, gguf-py's tensor_mapping.py.
PartNames names_of(LayerPart part, const ModelConfig& config) {
  using enum LayerPart;
  switch (part) {
    case attn_norm:
      return {"attn_norm.weight", "input_layernorm.weight"};
    case q:
      return {"attn_q.weight", "self_attn.q_proj.weight"};
    case k:
      return {"attn_k.weight", "self_attn.k_proj.weight"};
    case v:
      return {"attn_v.weight", "self_attn.v_proj.weight"};
    case q_bias:
      return {"attn_q.bias", "self_attn.q_proj.bias"};
    case k_bias:
      return {"attn_k.bias", "self_attn.k_proj.bias"};
    case v_bias:
      return {"attn_v.bias", "self_attn.v_proj.bias"};
    case q_norm:
      return {"attn_q_norm.weight", "self_attn.q_norm.weight"};
    case k_norm:
      return {"attn_k_norm.weight", "self_attn.k_norm.weight"};
    case o:
      return {"attn_output.weight", "self_attn.o_proj.weight"};
    case post_attn_norm:
      return {"post_attention_norm.weight", "post_attention_layernorm.weight"};
    case ffn_norm:  // to transformers it is what follows attention, unless that has a norm itself
      return {"ffn_norm.weight", config.post_norms ? "pre_feedforward_layernorm.weight"
                                                   : "post_attention_layernorm.weight"};
    case gate:
      return {"ffn_gate.weight", "mlp.gate_proj.weight"};
    case up:
      return {"ffn_up.weight", "mlp.up_proj.weight"};
    case down:
      return {"ffn_down.weight", "mlp.down_proj.weight"};
    case post_ffn_norm:
      return {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"};
  }
  return {};
}

std::string pick(const ModelConfig& config, const PartNames& names) {
  return std::string(config.tensor_names == TensorNames::gguf ? names.gguf : names.hugging_face);
}

}  // namespace

std::vector<LayerTensor> layer_tensors(const ModelConfig& config, int layer) {
  using enum LayerPart;
  const std::string prefix = pick(config, {"blk.", "model.layers."}) + std::to_string(layer) + ".";
  const auto hidden = static_cast<std::size_t>(config.hidden);
  const auto ffn = static_cast<std::size_t>(config.ffn);
  const auto head_dim = static_cast<std::size_t>(config.head_dim);
  const std::size_t queries = config.heads * head_dim, keys = config.kv_heads * head_dim;
  std::vector<LayerTensor> tensors;
  const auto add = [&](LayerPart part, std::size_t rows, std::size_t cols) {
    tensors.push_back({part, {prefix + pick(config, names_of(part, config)), rows, cols}});
  };
  add(attn_norm, 1, hidden);
  add(q, queries, hidden);
  add(k, keys, hidden);
  add(v, keys, hidden);
  if (config.qkv_bias) {
    add(q_bias, 1, queries);
    add(k_bias, 1, keys);
    add(v_bias, 1, keys);
  }
  if (config.qk_norm) {
    add(q_norm, 1, head_dim);
    add(k_norm, 1, head_dim);
  }
  add(o, hidden, queries);
  if (config.post_norms) add(post_attn_norm, 1, hidden);
  add(ffn_norm, 1, hidden);
  add(gate, ffn, hidden);
  add(up, ffn, hidden);
  add(down, hidden, ffn);
  if (config.post_norms) add(post_ffn_norm, 1, hidden);
  return tensors;
}

TensorShape embedding_tensor(const ModelConfig& config) {
  return {pick(config, {"token_embd.weight", "model.embed_tokens.weight"}),
          static_cast<std::size_t>(config.vocab), static_cast<std::size_t>(config.hidden)};
}

TensorShape final_norm_tensor(const ModelConfig& config) {
  return {pick(config, {"output_norm.weight", "model.norm.weight"}), 1,
          static_cast<std::size_t>(config.hidden)};
}

TensorShape head_tensor(const ModelConfig& config) {
  return {pick(config, {"output.weight", "lm_head.weight"}), static_cast<std::size_t>(config.vocab),
          static_cast<std::size_t>(config.hidden)};
}

std::vector<double> rope_frequencies(const RopeScheme& rope, int head_dim) {
  const int pairs = head_dim / 2;
  const double log_base = kernels::portable_log(rope.base);
  std::vector<double> frequencies(pairs);
  for (int i = 0; i < pairs; ++i) {
    frequencies[i] = kernels::portable_exp(-2.0 * i / head_dim * log_base);
    if (!rope.freq_factors.empty()) frequencies[i] /= rope.freq_factors[i];
    frequencies[i] /= rope.linear_factor;
  }
  return frequencies;
}

std::vector<float> rope_angles(const RopeScheme& rope, int head_dim, int positions) {
  const int pairs = head_dim / 2;
  const std::vector<double> frequencies = rope_frequencies(rope, head_dim);
  std::vector<float> angles(static_cast<std::size_t>(positions) * head_dim);
  for (int position = 0; position < positions; ++position) {
    float* row = &angles[static_cast<std::size_t>(position) * head_dim];
    for (int i = 0; i < pairs; ++i) {
      const auto [sine, cosine] = kernels::portable_sine_cosine(position * frequencies[i]);
      row[i] = static_cast<float>(cosine);
      row[pairs + i] = static_cast<float>(sine);
    }
  }
  return angles;
}

}  // namespace sluice::worker::model
