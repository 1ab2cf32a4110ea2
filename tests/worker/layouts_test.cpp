// Oracle: the plainest layout (layouts.h). What is drawn at random must not change a single token.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <memory>

#include "tests/worker/layouts.h"
#include "tests/worker/pipelines.h"
#include "tests/worker/quantised_model.h"

namespace sluice::worker {
namespace {

// scripts/check-full.sh layouts draws more.
constexpr int kTrials = 96;

// ggml's codes of every type that products take, and a mix with no two neighbours alike.
const std::vector<std::vector<std::uint32_t>> kTypes = {
    {0},  {1},  {30}, {8},  {2},
    {3},  {6},  {7},  {10}, {11},
    {12}, {13}, {14}, {20}, {12, 14, 8, 13, 2, 11, 20}};

TEST(Layouts, NoneChangesAToken) {
  int trials = kTrials;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  trials /= 8;  // these make it ten times as slow
#endif
  if (const char* wanted = std::getenv("SLUICE_LAYOUTS")) trials = std::atoi(wanted);
  RandomBlocks random;
  std::vector<std::unique_ptr<QuantisedModel>> quantised;
  for (const auto& codes : kTypes) {
    quantised.push_back(std::make_unique<QuantisedModel>(
        QuantisedShape{.codes = codes, .layers = 4, .vocab = 1100}, random));
  }
  const auto tiny = tiny_models();
  constexpr kernels::Precision precisions[] = {kernels::Precision::fast, kernels::Precision::high,
                                               kernels::Precision::exact};
  LayoutFigures figures;
  for (int trial = 0; trial < trials && !HasFailure(); ++trial) {
    const std::size_t half = static_cast<std::size_t>(trial) / 2;
    const auto model = trial % 2 == 0 ? quantised[half % quantised.size()]->open()
                                      : model::Model::open(tiny[half % tiny.size()]);
    compare_with_plainest(model,
                          {.seed = static_cast<std::uint32_t>(trial),
                           .precision = precisions[(half + half / quantised.size()) % 3]},
                          figures);
  }
  std::cout << figures << std::endl;
}

}  // namespace
}  // namespace sluice::worker
