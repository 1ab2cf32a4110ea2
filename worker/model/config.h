// The facts about a model that the engine computes with: shapes and constants of its architecture,
// read from the file's metadata. What is not supported is refused by name. Pure values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace sluice::worker::model {

class Gguf;

struct ModelConfig {
  std::string architecture;  // "llama"
  std::string name;          // for people
  int layers = 0;
  int hidden = 0;
  int heads = 0, kv_heads = 0, head_dim = 0;
  int ffn = 0;
  int vocab = 0;
  int context = 0;  // positions the model was trained for
  float rms_eps = 0;
  bool tied_head = false;  // the head is the embedding
  double rope_base = 10000;
  kernels::RopePairs rope_pairs = kernels::RopePairs::neighbours;
  std::vector<float> rope_freq_factors;  // head_dim / 2 divisors of the frequencies; empty: all 1
  double rope_linear_factor = 1;         // positions are divided by it
};

// Throws worker::Error: missing or lying metadata, an architecture or tensor shape that is not
// supported, each by name.
ModelConfig read_config(const Gguf& file);

// A tensor that the file must hold, with its shape.
struct TensorShape {
  std::string name;
  std::size_t rows = 1, cols = 0;
};

inline constexpr const char* kEmbeddingTensor = "token_embd.weight";   // (vocab, hidden)
inline constexpr const char* kFinalNormTensor = "output_norm.weight";  // (hidden)
inline constexpr const char* kHeadTensor = "output.weight";  // (vocab, hidden) unless tied
inline constexpr const char* kRopeFactorsTensor = "rope_freqs.weight";  // (head_dim / 2), optional

// The tensors of one layer in the order of computation: attn_norm, q, k, v, o, ffn_norm, gate, up,
// down.
std::vector<TensorShape> layer_tensors(const ModelConfig& config, int layer);

// Rope angles of positions [0, positions): (positions, head_dim) cosines then sines, computed in
// double by our own sine and cosine, so that the bits do not depend on libm.
std::vector<float> rope_angles(const ModelConfig& config, int positions);

}  // namespace sluice::worker::model
