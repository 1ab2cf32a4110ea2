// Oracle: sets of page numbers.
#include "worker/model/kv_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace sluice::worker::model {
namespace {

TEST(KvPages, PositionsFillPages) {
  EXPECT_EQ(pages_for(0), 0);
  EXPECT_EQ(pages_for(1), 1);
  EXPECT_EQ(pages_for(kernels::kKvPageTokens), 1);
  EXPECT_EQ(pages_for(kernels::kKvPageTokens + 1), 2);
}

TEST(PagePool, NoPageIsGivenTwice) {
  std::mt19937 random(5);
  PagePool pool(40);
  std::vector<std::vector<std::int32_t>> held;
  std::set<std::int32_t> taken;
  for (int i = 0; i < 5000; ++i) {
    const int tokens = 1 + static_cast<int>(random() % 300);
    if (pool.has_room(tokens)) {
      held.push_back(pool.reserve(tokens));
      EXPECT_EQ(static_cast<int>(held.back().size()), pages_for(tokens));
      for (const auto page : held.back()) EXPECT_TRUE(taken.insert(page).second);
    } else {
      ASSERT_FALSE(held.empty());
      const auto it = held.begin() + static_cast<std::ptrdiff_t>(random() % held.size());
      for (const auto page : *it) taken.erase(page);
      pool.release(*it);
      held.erase(it);
    }
    EXPECT_EQ(pool.free_pages() + static_cast<int>(taken.size()), 40);
  }
}

TEST(PagePool, LowestPagesFirst) {
  PagePool pool(4);
  EXPECT_THAT(pool.reserve(64), testing::ElementsAre(0, 1));
  const auto third = pool.reserve(1);
  pool.release({0, 1});
  EXPECT_THAT(pool.reserve(40), testing::ElementsAre(0, 1));
  EXPECT_THAT(third, testing::ElementsAre(2));
}

TEST(KvPages, RoomIsBoundedByMemoryAndPromptsButHoldsOneWholeSequence) {
  const KvDemand demand{
      .max_seq_len = 8192, .max_tokens = 128, .batch_size = 8, .stages = 2, .prompts = 1 << 20};
  constexpr std::size_t kPage = 1 << 20;
  const int usual = pages_for(kUsualPromptTokens + 128);
  EXPECT_EQ(pages_wanted(demand, kPage, std::uint64_t{1} << 40), 4 * 8 * 2 * usual);
  EXPECT_EQ(pages_wanted(demand, kPage, std::uint64_t{4} << 30), 1024);  // a quarter of 4 GiB
  EXPECT_EQ(pages_wanted(demand, kPage, 0), pages_for(8192));
  KvDemand few = demand;
  few.prompts = 20;
  EXPECT_EQ(pages_wanted(few, kPage, std::uint64_t{1} << 40), 20 * usual);
}

}  // namespace
}  // namespace sluice::worker::model
