#include "worker/product_peak.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "jobs/files.h"

namespace sluice::worker {
namespace {

// 16 KiB of 8-bit weights, 8 KiB of activations, 8 KiB of sums.
constexpr std::size_t kRows = 64, kCols = 256, kTokens = 32;
constexpr std::size_t kProducts =
    32;  // with the same weight, that share the rounding of their input
constexpr std::size_t kPassesMin = 3;
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

  double best_s = std::numeric_limits<double>::infinity(), all_s = 0;
  for (std::size_t pass = 0; pass < kPassesMin || all_s < kEnough_s; ++pass) {
    const double begun_s = jobs::steady_time_s();
    backend.matmul(x, products);
    backend.wait(backend.record());
    const double seconds = jobs::steady_time_s() - begun_s;
    best_s = std::min(best_s, seconds);
    all_s += seconds;
  }
  return 2.0 * kProducts * kTokens * kRows * kCols / best_s;
}

}  // namespace sluice::worker
