// What a machine takes is not compared with anything: only that it is measured for every model, and
// what follows from it.
#include "worker/calibrate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/worker/pipelines.h"
#include "worker/make_plan.h"

namespace sluice::worker {
namespace {

using pipeline::CostScales;

TEST(Calibrate, MeasuresEveryModelInEveryPrecision) {
  for (const auto& path : tiny_models()) {
    const auto model = model::Model::open(path);
    for (const auto precision :
         {kernels::Precision::fast, kernels::Precision::high, kernels::Precision::exact}) {
      // A budget below the batch size, and answers beyond the context.
      const CostScales scales =
          calibrate(model, {.prompt_tokens = 10, .output_tokens = 1e6},
                    {.batch_size = 6, .token_budget = 4, .precision = precision});
      for (const double scale : {scales.prefill, scales.decode, scales.head}) {
        EXPECT_TRUE(std::isfinite(scale) && scale > 0) << path << ": " << scale;
        EXPECT_NE(scale, 1) << path;
      }
    }
  }
}

TEST(Calibrate, WhatCannotBeMeasuredIsAsCounted) {
  const auto cut = std::filesystem::path(testing::TempDir()) / "cut.gguf";
  std::filesystem::copy_file(SLUICE_TEST_DATA "/tiny/smollm-tied-f16/model.gguf", cut,
                             std::filesystem::copy_options::overwrite_existing);
  const auto model = model::Model::open(cut);
  std::filesystem::resize_file(cut, std::filesystem::file_size(cut) / 2);
  const CostScales scales = calibrate(model, {}, {});
  EXPECT_EQ(scales.prefill, 1);
  EXPECT_EQ(scales.decode, 1);
  EXPECT_EQ(scales.head, 1);
}

TEST(Calibrate, CostsAreCountedTimesScales) {
  const auto model = model::Model::open(tiny_models().front());
  const pipeline::TokenMix mix{.prompt_tokens = 30, .output_tokens = 20};
  const auto costs = [&](const CostScales& scales) {
    return costs_of(model, mix, 8, kernels::Precision::fast, scales);
  };
  const int layers = model.config().layers;
  const auto counted = token_costs(model, layers, mix, 8, kernels::Precision::fast);
  const auto scaled = costs({.prefill = 2, .decode = 3, .head = 5});
  double sum = 0;
  for (const double layer : scaled.layers) sum += layer;
  EXPECT_NEAR(sum, 2 * 30 * counted.prefill + 3 * 20 * counted.decode, 1e-9 * sum);
  EXPECT_DOUBLE_EQ(scaled.head, 5 * 20 * counted.head);
  EXPECT_GT(costs({.prefill = 2}).prefill_share, costs({}).prefill_share);
}

TEST(Calibrate, IsAskedWhereThereIsSomethingToDivide) {
  const auto model = model::Model::open(tiny_models().front());
  int asked = 0;
  const auto ask = [&](const pipeline::Plan& plan) {
    EXPECT_EQ(plan.batch_size, 5);
    EXPECT_EQ(plan.token_budget, 64);
    ++asked;
    return CostScales{};
  };
  jobs::JobSpec spec;
  spec.batch_size = 5;
  spec.token_budget = 64;
  spec.shape = {.nodes = 2, .replicas = 2, .stages = 1};
  make_plan(spec, model, {}, 2, ask);
  EXPECT_EQ(asked, 0);
  spec.shape = {.nodes = 2, .replicas = 1, .stages = 2};
  make_plan(spec, model, {}, 2, ask);
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace sluice::worker
