#include "worker/product_peak.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "worker/measuring.h"

namespace sluice::worker {
namespace {

// 16 KiB of 8-bit weights, 8 KiB of activations, 8 KiB of sums.
constexpr std::size_t kRows = 64, kCols = 256, kTokens = 32;
constexpr std::size_t kProducts =
    32;  // with the same weight, that share the rounding of their input
constexpr int kPassesMin = 3;
constexpr double kEnough_s = 0.03;

}  // namespace

double measure_product_peak(kernels::Backend& backend, kernels::WeightType type) {
  const auto weight =
      backend.load({.type = type, .rows = kRows, .cols = kCols},
                   [](std::size_t, std::size_t, std::span<std::byte> out) {
                     std::ranges::fill(out, std::byte{0});  // the time does not depend on values
                   });
  const auto in = backend.allocate(kTokens * kCols), sums = backend.allocate(kTokens * kRows);
  const kernels::Tensor x{.buffer = in.get(), .rows = kTokens, .cols = kCols};
  const kernels::Tensor out{.buffer = sums.get(), .rows = kTokens, .cols = kRows};
  backend.upload(std::vector<float>(kTokens * kCols, 0.5f), x);
  const std::vector<kernels::Product> products(kProducts, {.weight = weight.get(), .out = out});

  LeastTime pass;
  while (pass.repeats() < kPassesMin || pass.sum_s() < kEnough_s) {
    pass.take([&] {
      backend.matmul(x, products);
      backend.wait(backend.record());
    });
  }
  return 2.0 * kProducts * kTokens * kRows * kCols / pass.least_s();
}

}  // namespace sluice::worker
