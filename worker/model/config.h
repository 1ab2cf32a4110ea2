// The facts about a model that the engine computes with: shapes and constants of its architecture,
// as its files say them. What is not supported is refused by name. Pure values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace sluice::worker::model {

class Gguf;
class WeightFiles;

// Frequency i of a head: base^(-2 i / head_dim) / freq_factors[i] / linear_factor (Su et al. 2021,
// "RoFormer"; Chen et al. 2023, "Extending Context Window" for the linear factor).
struct RopeScheme {
  double base = 10000;
  double linear_factor = 1;
  std::vector<float> freq_factors = {};  // head_dim / 2; empty: all 1
  bool operator==(const RopeScheme&) const = default;
};

// How the files name tensors: "blk.0.attn_q.weight", or "model.layers.0.self_attn.q_proj.weight".
enum class TensorNames { gguf, hugging_face };

struct ModelConfig {
  std::string architecture;  // "llama", "gemma3", ...
  std::string name;          // for people
  int layers = 0;
  int hidden = 0;
  int heads = 0, kv_heads = 0, head_dim = 0;
  int ffn = 0;
  int vocab = 0;
  int context = 0;  // positions the model was trained for
  float rms_eps = 0;
  kernels::Activation activation = kernels::Activation::silu;
  bool tied_head = false;     // the head is the embedding
  bool qkv_bias = false;      // q, k and v have one
  bool qk_norm = false;       // each head of q and k is normed before it is rotated
  bool post_norms = false;    // attention's and the ffn's outputs are normed before they are added
  float embedding_scale = 1;  // of the embedding's rows
  float attention_scale = 0;  // of q.k
  float attention_softcap = 0;    // of the scaled q.k: cap * tanh(x / cap); 0: none
  float final_softcap = 0;        // of the logits
  int window = 0;                 // positions that a windowed layer attends to, its own included
  std::vector<bool> is_windowed;  // each layer
  kernels::RopePairs rope_pairs = kernels::RopePairs::halves;
  RopeScheme rope, window_rope;  // of layers without and with a window

  TensorNames tensor_names = TensorNames::gguf;
  bool norms_lack_one = false;  // the files hold a norm's gain less 1

  const RopeScheme& rope_of(int layer) const { return is_windowed[layer] ? window_rope : rope; }
};

// Both throw worker::Error: missing or lying facts, an architecture, a feature or a tensor shape
// that is not supported, each by name.
ModelConfig read_config(const Gguf& file);
ModelConfig read_config(const std::filesystem::path& folder, const WeightFiles& weights);

// The tensors of a layer in the order of computation.
enum class LayerPart {
  attn_norm,
  q,
  k,
  v,
  q_bias,
  k_bias,
  v_bias,
  q_norm,
  k_norm,
  o,
  post_attn_norm,
  ffn_norm,
  gate,
  up,
  down,
  post_ffn_norm,
};
inline constexpr int kLayerParts = 16;

// A tensor that the files must hold, with its shape; a vector is one row.
struct TensorShape {
  std::string name;
  std::size_t rows = 1, cols = 0;
};
struct LayerTensor {
  LayerPart part;
  TensorShape shape;
};
std::vector<LayerTensor> layer_tensors(const ModelConfig& config, int layer);

TensorShape embedding_tensor(const ModelConfig& config);   // (vocab, hidden)
TensorShape final_norm_tensor(const ModelConfig& config);  // (hidden)
TensorShape head_tensor(const ModelConfig& config);        // (vocab, hidden), unless tied

// Radians per position of the head_dim / 2 pairs.
std::vector<double> rope_frequencies(const RopeScheme& rope, int head_dim);

// Rope angles of positions [0, positions): (positions, head_dim) cosines then sines, computed in
// double by our own sine and cosine, so that the bits do not depend on libm. About 30 ns a pair.
std::vector<float> rope_angles(const RopeScheme& rope, int head_dim, int positions);

}  // namespace sluice::worker::model
