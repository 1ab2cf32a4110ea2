// What is multiplied with weights: activations in fp32 and, where a weight of integers is to meet
// integers, as these, made once for all such weights.
#pragma once

#include <cstddef>

#include "kernels/cpu/memory.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/weight.h"

namespace sluice::kernels::cpu {

// How a backend multiplies. Scratch is not shared between inputs that live at the same time.
struct Arithmetic {
  const Operations& operations;
  int planes;  // of integer activations; 0: products are fp32
  Pool& pool;
  Scratch coded = {}, sums = {};
};

class ProductInput {
 public:
  // x: (tokens, cols), which must stay.
  ProductInput(Arithmetic& arithmetic, const float* x, std::size_t tokens, std::size_t cols)
      : arithmetic_(arithmetic), x_(x), tokens_(tokens), cols_(cols) {}

  struct Rows {  // of a weight; `first` is that of a group
    std::size_t first, count;
  };
  struct Output {
    float* at;  // (tokens, rows)
    std::size_t stride;
    const float* bias = nullptr;  // (rows)
    bool add = false;
  };
  void multiply(const CpuWeight& weight, const Rows& rows, const Output& out);

  std::size_t tokens() const { return tokens_; }

 private:
  const std::byte* coded();

  Arithmetic& arithmetic_;
  const float* x_;
  std::size_t tokens_, cols_;
  const std::byte* coded_ = nullptr;  // not made yet
};

}  // namespace sluice::kernels::cpu
