// Oracle: every way to cut the layers, tried one by one.
#include "worker/pipeline/partition.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "worker/error.h"

namespace sluice::worker::pipeline {
namespace {

PartitionCosts even(int layers, double head) {
  return {.layers = std::vector<double>(static_cast<std::size_t>(layers), 1.0), .head = head};
}

double largest(const PartitionCosts& costs, const std::vector<model::StageRange>& ranges) {
  double cost = 0;
  for (const auto& range : ranges) cost = std::max(cost, stage_cost(costs, range));
  return cost;
}

double least_by_trying(const PartitionCosts& costs, int first, int stages) {
  const int layers = static_cast<int>(costs.layers.size());
  if (stages == 1) return stage_cost(costs, {.first = first, .end = layers, .has_head = true});
  double least = std::numeric_limits<double>::infinity();
  for (int end = first + 1; end <= layers; ++end) {
    least = std::min(least, std::max(stage_cost(costs, {.first = first, .end = end}),
                                     least_by_trying(costs, end, stages - 1)));
  }
  return least;
}

TEST(Partition, EqualsTheBestOfAllCuts) {
  std::mt19937 random(11);
  for (int trial = 0; trial < 300; ++trial) {
    PartitionCosts costs;
    const int layers = 1 + static_cast<int>(random() % 10);
    for (int i = 0; i < layers; ++i) costs.layers.push_back(1 + static_cast<double>(random() % 20));
    costs.head = static_cast<double>(random() % 60);
    const int stages = 1 + static_cast<int>(random() % static_cast<unsigned>(std::min(layers, 5)));
    EXPECT_EQ(largest(costs, partition(costs, stages)), least_by_trying(costs, 0, stages))
        << "trial " << trial;
  }
}

TEST(Partition, CoversEveryLayerOnce) {
  for (int stages = 1; stages <= 8; ++stages) {
    const auto ranges = partition(even(7, 3), stages);
    int next = 0;
    for (int s = 0; s < stages; ++s) {
      const auto& range = ranges[static_cast<std::size_t>(s)];
      EXPECT_EQ(range.first, next);
      EXPECT_EQ(range.has_embedding, s == 0);
      EXPECT_EQ(range.has_head, s == stages - 1);
      EXPECT_GE(range.layers(), s == stages - 1 && s > 0 ? 0 : 1);
      next = range.end;
    }
    EXPECT_EQ(next, 7);
  }
}

// SmolLM2: 30 layers of 3.54 million multiply-adds, a head of 28.3 million.
TEST(Partition, SmolLM2DecodingIsCutAfterNineteenLayers) {
  EXPECT_EQ(to_string(partition(even(30, 8.0), 2)), "0-18 | 19-29 + head");
}

TEST(Partition, ManyPromptTokensMakeTheHeadCheap) {
  // 400 prompt tokens a generated one: layers count 401 times, the head once.
  PartitionCosts costs = even(30, 8.0);
  for (double& layer : costs.layers) layer *= 401;
  EXPECT_EQ(partition(costs, 2).at(0).end, 15);
}

// Fewer tokens share a reading of the weights, and only the tokens of answers need the head's.
TEST(Partition, SmallBatchesMakeTheHeadDearer) {
  const auto model = model::Model::open(SLUICE_TEST_DATA "/tiny/smollm-tied-f16/model.gguf");
  const TokenMix mix{.prompt_tokens = 10, .output_tokens = 48};
  const auto head_share = [&](int batch_size) {
    const PartitionCosts costs = costs_of(model, mix, batch_size);
    return costs.head / costs.layers[0] / (model.head_cost() / model.layer_cost(0));
  };
  EXPECT_GT(head_share(1), head_share(8));
  EXPECT_GT(head_share(8), 48.0 / 58.0);
  EXPECT_LT(head_share(1), 1);
}

// Gemma 3 1B on 4 stages: the head outweighs a quarter of all.
TEST(Partition, HeavyHeadStandsAlone) {
  EXPECT_EQ(partition(even(26, 11.25), 4).back().layers(), 0);
}

TEST(Partition, TooManyStagesAreRefused) {
  EXPECT_THROW(partition(even(3, 1), 5), Error);
  EXPECT_THROW(partition(even(3, 1), 0), Error);
  EXPECT_EQ(partition(even(3, 1), 4).back().layers(), 0);
}

}  // namespace
}  // namespace sluice::worker::pipeline
