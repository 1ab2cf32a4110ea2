// Oracle: every way to cut the layers, tried one by one.
#include "worker/pipeline/partition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "worker/error.h"

namespace sluice::worker::pipeline {
namespace {

PartitionCosts even(int layers, double head) {
  return {.layers = std::vector<double>(static_cast<std::size_t>(layers), 1.0), .head = head};
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
    EXPECT_EQ(largest_cost(costs, partition(costs, stages)), least_by_trying(costs, 0, stages))
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
    const PartitionCosts costs = costs_of(model, mix, batch_size, kernels::Precision::exact);
    return costs.head / costs.layers[0] / (model.head_cost() / model.layer_cost(0));
  };
  EXPECT_GT(head_share(1), head_share(8));
  EXPECT_GT(head_share(8), 0.5);
  EXPECT_LT(head_share(1), 1);
}

// Every row once, in order, on borders of blocks; and no split of layers with a whole head does
// better than one with a split head, but for a block's worth.
TEST(Partition, ASplitHeadFillsUpTheStages) {
  std::mt19937 random(12);
  for (int trial = 0; trial < 300; ++trial) {
    PartitionCosts costs;
    costs.vocab = 256 * (20 + static_cast<int>(random() % 500)) + 17;
    const int layers = 2 + static_cast<int>(random() % 10);
    for (int i = 0; i < layers; ++i) costs.layers.push_back(1 + static_cast<double>(random() % 20));
    costs.head = 1 + static_cast<double>(random() % 200);
    const int stages = 1 + static_cast<int>(random() % static_cast<unsigned>(std::min(layers, 5)));
    const auto ranges = partition_with_split_head(costs, stages);
    int next = 0;
    double total = 0;
    for (const auto& range : ranges) {
      EXPECT_TRUE(range.head_is_split);
      EXPECT_GE(range.layers(), 1);
      EXPECT_EQ(range.shard.first, next);
      EXPECT_TRUE(range.shard.end % 256 == 0 || range.shard.end == costs.vocab);
      next = range.shard.end;
      total += stage_cost(costs, range);
    }
    EXPECT_EQ(next, costs.vocab);
    const double block = 256 * costs.head / costs.vocab;
    EXPECT_NEAR(total, std::accumulate(costs.layers.begin(), costs.layers.end(), costs.head), 1e-9);
    EXPECT_LE(largest_cost(costs, ranges), largest_cost(costs, partition(costs, stages)) + block);
    if (costs.head > stages * total / 2) {
      EXPECT_NEAR(largest_cost(costs, ranges), total / stages, block);
    }
  }
}

TEST(Partition, StagesWithMoreLayersComeFirstWhereTheHeadIsSplit) {
  PartitionCosts costs = even(30, 8);
  costs.vocab = 49152;
  EXPECT_EQ(to_string(partition_with_split_head(costs, 4)),
            "0-7 + head 0-9215 | 8-15 + head 9216-18431 | 16-22 + head 18432-33791 | "
            "23-29 + head 33792-49151");
}

// 18 layers on 4 stages cannot be even: then prefill is as late as 5 layers are, and the answers
// after it should not be late once more.
TEST(Partition, PrefillThatRunsApartLeavesTheHeadToEvenOutAnswers) {
  PartitionCosts costs = even(18, 20);
  costs.vocab = 262144;
  costs.prefill_share = 0.5;
  for (const double apart : {0.0, 1.0}) {
    costs.prefill_apart = apart;
    const auto ranges = partition_with_split_head(costs, 4);
    std::vector<double> counted;
    for (const auto& range : ranges) {
      counted.push_back(stage_cost(costs, range) - apart * costs.prefill_share * range.layers());
    }
    EXPECT_NEAR(std::ranges::max(counted), std::ranges::min(counted), 0.05) << to_string(ranges);
  }
}

TEST(Partition, TheHeadIsSplitWhereThatPays) {
  PartitionCosts costs = even(18, 30);
  costs.vocab = 262144;
  EXPECT_TRUE(best_partition(costs, 2, HeadSplit::when_it_pays)[0].head_is_split);
  EXPECT_FALSE(best_partition(costs, 2, HeadSplit::never)[0].head_is_split);
  costs.head = 2;  // 10 layers on the first stage, 8 and the head on the second
  EXPECT_FALSE(best_partition(costs, 2, HeadSplit::when_it_pays)[0].head_is_split);
  EXPECT_TRUE(best_partition(costs, 2, HeadSplit::always)[0].head_is_split);
  EXPECT_FALSE(best_partition(costs, 1, HeadSplit::always)[0].head_is_split);
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
