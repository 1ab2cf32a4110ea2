#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace sluice::oracle {

inline double log_sum_exp(std::span<const double> x) {
  const double largest = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double v : x) sum += std::exp(v - largest);
  return largest + std::log(sum);
}

}  // namespace sluice::oracle
