// The whole forward pass of a model of Llama's shape, written as its definition reads (Touvron et
// al. 2023, "LLaMA", section 2.2): no cache, no batches, sums in order of index, all in `Real`.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tests/oracle/gated_activation.h"

namespace sluice::oracle {

struct Llama {
  std::size_t layers = 0, hidden = 0, heads = 0, kv_heads = 0;
  double eps = 0, rope_base = 10000;
  std::map<std::string, std::vector<float>> tensors = {};  // by their names in GGUF files
};

template <class Real>
class LlamaPass {
 public:
  explicit LlamaPass(const Llama& model) : model_(model) {}

  // Logits after the last of the tokens.
  std::vector<Real> logits(std::span<const std::int32_t> tokens) const {
    std::vector<Vector> rows;
    const std::vector<float>& embedding = model_.tensors.at("token_embd.weight");
    for (const std::int32_t token : tokens) {
      const auto row = embedding.begin() + static_cast<std::ptrdiff_t>(token * model_.hidden);
      rows.emplace_back(row, row + static_cast<std::ptrdiff_t>(model_.hidden));
    }
    for (std::size_t layer = 0; layer < model_.layers; ++layer) {
      const std::string blk = "blk." + std::to_string(layer) + ".";
      attention(blk, rows);
      for (Vector& row : rows) add(row, feed_forward(blk, norm(blk + "ffn_norm", row)));
    }
    return product("output", norm("output_norm", rows.back()));
  }

 private:
  using Vector = std::vector<Real>;

  const std::vector<float>& weight(const std::string& name) const {
    return model_.tensors.at(name + ".weight");
  }

  Vector product(const std::string& name, const Vector& x) const {
    const std::vector<float>& w = weight(name);
    Vector out(w.size() / x.size());
    const float* at = w.data();
    for (Real& sum : out) {
      for (const Real value : x) sum += value * Real{*at++};
    }
    return out;
  }

  Vector norm(const std::string& name, Vector x) const {
    Real squares = 0;
    for (const Real value : x) squares += value * value;
    const auto mean = squares / static_cast<Real>(x.size()) + static_cast<Real>(model_.eps);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] *= Real{weight(name)[i]} / std::sqrt(mean);
    return x;
  }

  // Neighbours are pairs, as GGUF files of llama have them.
  void rotate(Vector& x, std::size_t position) const {
    const std::size_t dim = model_.hidden / model_.heads;
    for (std::size_t i = 0; i < x.size(); i += 2) {
      const double power = static_cast<double>(i % dim) / static_cast<double>(dim);
      const double angle = static_cast<double>(position) / std::pow(model_.rope_base, power);
      const auto cosine = static_cast<Real>(std::cos(angle));
      const auto sine = static_cast<Real>(std::sin(angle));
      const Real a = x[i], b = x[i + 1];
      x[i] = a * cosine - b * sine;
      x[i + 1] = b * cosine + a * sine;
    }
  }

  void attention(const std::string& blk, std::vector<Vector>& rows) const {
    const std::size_t dim = model_.hidden / model_.heads;
    std::vector<Vector> keys, values;
    for (std::size_t position = 0; position < rows.size(); ++position) {
      const Vector normed = norm(blk + "attn_norm", rows[position]);
      Vector q = product(blk + "attn_q", normed);
      rotate(q, position);
      rotate(keys.emplace_back(product(blk + "attn_k", normed)), position);
      values.push_back(product(blk + "attn_v", normed));
      Vector out(model_.hidden);
      for (std::size_t head = 0; head < model_.heads; ++head) {
        const std::size_t kv = head / (model_.heads / model_.kv_heads) * dim;
        attend(&q[head * dim], keys, values, kv, &out[head * dim]);
      }
      add(rows[position], product(blk + "attn_output", out));
    }
  }

  // One head's: columns `first` and the following of keys and values.
  void attend(const Real* q, const std::vector<Vector>& keys, const std::vector<Vector>& values,
              std::size_t first, Real* out) const {
    const std::size_t dim = model_.hidden / model_.heads;
    Vector shares;
    for (const Vector& key : keys) {
      Real score = 0;
      for (std::size_t d = 0; d < dim; ++d) score += q[d] * key[first + d];
      shares.push_back(score / std::sqrt(static_cast<Real>(dim)));
    }
    const Real best = *std::ranges::max_element(shares);
    Real total = 0;
    for (Real& share : shares) total += share = std::exp(share - best);
    for (std::size_t p = 0; p < values.size(); ++p) {
      for (std::size_t d = 0; d < dim; ++d) out[d] += shares[p] / total * values[p][first + d];
    }
  }

  Vector feed_forward(const std::string& blk, const Vector& x) const {
    Vector gate = product(blk + "ffn_gate", x);
    const Vector up = product(blk + "ffn_up", x);
    for (std::size_t i = 0; i < gate.size(); ++i) {
      gate[i] = static_cast<Real>(silu(gate[i])) * up[i];
    }
    return product(blk + "ffn_down", gate);
  }

  static void add(Vector& to, const Vector& more) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += more[i];
  }

  const Llama& model_;
};

}  // namespace sluice::oracle
