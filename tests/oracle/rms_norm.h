#pragma once

#include <cmath>
#include <span>
#include <vector>

namespace sluice::oracle {

// One row.
inline std::vector<double> rms_norm(std::span<const float> x, std::span<const float> gain,
                                    double eps) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  std::vector<double> out;
  for (std::size_t i = 0; i < x.size(); ++i) out.push_back(x[i] * scale * gain[i]);
  return out;
}

}  // namespace sluice::oracle
