#pragma once

#include <cmath>

namespace sluice::oracle {

inline double silu(double x) { return x / (1 + std::exp(-x)); }

inline double gelu_tanh(double x) {
  const double u = std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + std::tanh(u));
}

}  // namespace sluice::oracle
