#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace sluice::oracle {

// One query over the keys and values of `keys.size() / q.size()` positions; softcap 0: none.
struct Attended {
  std::vector<double> out;        // sum of p v
  std::vector<double> magnitude;  // sum of p |v|
  double score_magnitude = 0;     // largest scale * sum of |q k|
  double score_range = 0;         // largest score less the smallest
};

inline Attended attention(std::span<const float> q, std::span<const float> keys,
                          std::span<const float> values, double scale, double softcap) {
  const std::size_t dim = q.size(), positions = keys.size() / dim;
  Attended result{.out = std::vector<double>(dim), .magnitude = std::vector<double>(dim)};
  std::vector<double> weights;
  for (std::size_t p = 0; p < positions; ++p) {
    double score = 0, magnitude = 0;
    for (std::size_t d = 0; d < dim; ++d) {
      const double term = scale * q[d] * keys[p * dim + d];
      score += term;
      magnitude += std::abs(term);
    }
    weights.push_back(softcap > 0 ? softcap * std::tanh(score / softcap) : score);
    result.score_magnitude = std::max(result.score_magnitude, magnitude);
  }
  const auto [low, high] = std::minmax_element(weights.begin(), weights.end());
  result.score_range = *high - *low;
  const double best = *high;
  double total = 0;
  for (auto& weight : weights) total += weight = std::exp(weight - best);
  for (std::size_t p = 0; p < positions; ++p) {
    for (std::size_t d = 0; d < dim; ++d) {
      const double term = weights[p] / total * values[p * dim + d];
      result.out[d] += term;
      result.magnitude[d] += std::abs(term);
    }
  }
  return result;
}

}  // namespace sluice::oracle
