#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::oracle {

// 1 - P(a, x), the regularised incomplete gamma function, by its series or its continued fraction
// (Abramowitz and Stegun 1964, 6.5.29 and 6.5.31).
inline double upper_gamma(double a, double x) {
  const double front = std::exp(a * std::log(x) - x - std::lgamma(a));
  if (x < a + 1) {
    double term = 1 / a, sum = term;
    for (int n = 1; n < 10000 && term > sum * 1e-17; ++n) sum += term *= x / (a + n);
    return 1 - front * sum;
  }
  double b = x + 1 - a, c = 1e300, d = 1 / b, fraction = d;
  for (int n = 1; n < 10000; ++n) {
    const double an = -n * (n - a);
    b += 2;
    d = 1 / (an * d + b);
    c = b + an / c;
    fraction *= d * c;
    if (std::abs(d * c - 1) < 1e-16) break;
  }
  return front * fraction;
}

// How likely counts are to be as far from what probabilities say, or farther (Pearson 1900). Cells
// of which fewer than five are expected are counted as one.
inline double chi_square_p(std::span<const std::int64_t> counts,
                           std::span<const double> probabilities) {
  double total = 0, statistic = 0, rare_count = 0, rare_expected = 0;
  for (const auto count : counts) total += static_cast<double>(count);
  int cells = 0;
  const auto add = [&](double count, double expected) {
    statistic += (count - expected) * (count - expected) / expected;
    ++cells;
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = probabilities[i] * total, count = static_cast<double>(counts[i]);
    if (expected >= 5) {
      add(count, expected);
    } else {
      rare_count += count;
      rare_expected += expected;
    }
  }
  if (rare_expected > 0.5) {
    add(rare_count, rare_expected);
  } else if (rare_count > 0) {
    return 0;
  }
  if (cells < 2) return 1;
  return statistic > 0 ? upper_gamma((cells - 1) / 2.0, statistic / 2) : 1;
}

}  // namespace sluice::oracle
