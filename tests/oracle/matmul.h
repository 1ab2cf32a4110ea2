#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace sluice::oracle {

struct MatmulShape {
  std::size_t tokens, rows, cols;
};

// out[t][j] = sum_k x[t][k] w[j][k].
inline std::vector<double> matmul(std::span<const float> x, std::span<const float> w,
                                  const MatmulShape& shape) {
  std::vector<double> out(shape.tokens * shape.rows);
  for (std::size_t t = 0; t < shape.tokens; ++t) {
    for (std::size_t j = 0; j < shape.rows; ++j) {
      for (std::size_t k = 0; k < shape.cols; ++k) {
        out[t * shape.rows + j] += double{x[t * shape.cols + k]} * w[j * shape.cols + k];
      }
    }
  }
  return out;
}

}  // namespace sluice::oracle
