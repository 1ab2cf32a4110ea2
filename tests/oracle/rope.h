#pragma once

#include <span>
#include <vector>

namespace sluice::oracle {

// One head. angles: cosines, then sines. Pairs (i, i + n) or (2i, 2i + 1).
inline std::vector<double> rope(std::span<const float> x, std::span<const float> angles,
                                bool neighbours) {
  const std::size_t pairs = x.size() / 2;
  std::vector<double> out(x.size());
  for (std::size_t i = 0; i < pairs; ++i) {
    const std::size_t a = neighbours ? 2 * i : i, b = neighbours ? 2 * i + 1 : i + pairs;
    const double cosine = angles[i], sine = angles[pairs + i];
    out[a] = x[a] * cosine - x[b] * sine;
    out[b] = x[b] * cosine + x[a] * sine;
  }
  return out;
}

}  // namespace sluice::oracle
