// Oracle: sets of page numbers.
#include "worker/model/kv_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace sluice::worker::model {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kPage = kernels::kKvPageTokens;

TEST(KvPages, PositionsFillPages) {
  EXPECT_EQ(pages_for(0), 0);
  EXPECT_EQ(pages_for(1), 1);
  EXPECT_EQ(pages_for(kPage), 1);
  EXPECT_EQ(pages_for(kPage + 1), 2);
}

// The ring holds what the rows of a micro-batch see, wherever in a page they begin.
TEST(KvPages, RingHoldsAWindowAndAMicroBatch) {
  for (const int window : {1, 16, 32, 33, 512}) {
    for (const int rows : {1, 7, 32, 128}) {
      ModelConfig config;
      config.layers = 2;
      config.window = window;
      config.is_windowed = {true, false};
      const KvLayout layout = kv_layout(config, rows);
      int pages_max = 0;
      for (int first = window; first < window + kPage; ++first) {
        const int oldest = first - window + 1, newest = first + rows - 1;
        pages_max = std::max(pages_max, newest / kPage - oldest / kPage + 1);
      }
      EXPECT_EQ(layout.ring_pages, pages_max) << window << " " << rows;
      EXPECT_TRUE(layout.has_full);
      EXPECT_EQ(pages_of_sequence(layout, kPage * 100).full, 100);
      EXPECT_EQ(pages_of_sequence(layout, kPage * 100).ring, std::min(layout.ring_pages, 100));
      EXPECT_EQ(pages_of_sequence(layout, 1), (KvRoom{.full = 1, .ring = 1}));
      config.is_windowed = {true, true};
      EXPECT_EQ(pages_of_sequence(kv_layout(config, rows), kPage * 100).full, 0);
      config.is_windowed = {false, false};
      EXPECT_EQ(pages_of_sequence(kv_layout(config, rows), kPage * 100).ring, 0);
    }
  }
}

TEST(PagePool, NoPageIsGivenTwice) {
  std::mt19937 random(5);
  const KvRoom room{.full = 40, .ring = 12};
  const KvLayout layout{.has_full = true, .ring_pages = 3};
  PagePool pool(room, layout);
  std::vector<SequencePages> held;
  std::set<std::int32_t> taken, taken_of_rings;
  for (int i = 0; i < 5000; ++i) {
    const int tokens = 1 + static_cast<int>(random() % 300);
    if (pool.has_room(tokens)) {
      const SequencePages& pages = held.emplace_back(pool.reserve(tokens));
      EXPECT_EQ((KvRoom{.full = static_cast<int>(pages.full.size()),
                        .ring = static_cast<int>(pages.ring.size())}),
                pages_of_sequence(layout, tokens));
      for (const auto page : pages.full) EXPECT_TRUE(taken.insert(page).second);
      for (const auto page : pages.ring) EXPECT_TRUE(taken_of_rings.insert(page).second);
    } else {
      ASSERT_FALSE(held.empty());
      const auto it = held.begin() + static_cast<std::ptrdiff_t>(random() % held.size());
      for (const auto page : it->full) taken.erase(page);
      for (const auto page : it->ring) taken_of_rings.erase(page);
      pool.release(*it);
      held.erase(it);
    }
    EXPECT_EQ(pool.free().full + static_cast<int>(taken.size()), room.full);
    EXPECT_EQ(pool.free().ring + static_cast<int>(taken_of_rings.size()), room.ring);
  }
}

TEST(PagePool, LowestPagesFirst) {
  PagePool pool({.full = 4});
  EXPECT_THAT(pool.reserve(64).full, ElementsAre(0, 1));
  const auto third = pool.reserve(1);
  pool.release({.full = {0, 1}, .ring = {}});
  EXPECT_THAT(pool.reserve(40).full, ElementsAre(0, 1));
  EXPECT_THAT(third.full, ElementsAre(2));
  EXPECT_THAT(third.ring, IsEmpty());
}

TEST(KvPages, RoomIsBoundedByMemoryAndPromptsButHoldsOneWholeSequence) {
  const KvDemand demand{
      .max_seq_len = 8192, .max_tokens = 128, .batch_size = 8, .stages = 2, .prompts = 1 << 20};
  constexpr KvPageBytes kBytes{.full = 1 << 20, .ring = 0};
  const int usual = pages_for(kUsualPromptTokens + 128);
  EXPECT_EQ(room_wanted(demand, kBytes, 0x1p40).full, 4 * 8 * 2 * usual);
  EXPECT_EQ(room_wanted(demand, kBytes, 0x1p30).full, 1024);
  EXPECT_EQ(room_wanted(demand, kBytes, 0).full, pages_for(8192));
  KvDemand few = demand;
  few.prompts = 20;
  EXPECT_EQ(room_wanted(few, kBytes, 0x1p40).full, 20 * usual);
}

// Both kinds shrink alike: a sequence needs pages of each.
TEST(KvPages, RoomOfBothKindsIsForTheSameSequences) {
  const KvDemand demand{.max_seq_len = 8192,
                        .max_tokens = 128,
                        .batch_size = 8,
                        .stages = 2,
                        .prompts = 1 << 20,
                        .layout = {.has_full = true, .ring_pages = 5}};
  constexpr KvPageBytes kBytes{.full = 1 << 20, .ring = 5 << 20};
  const int usual = pages_for(kUsualPromptTokens + 128);
  // 20 pages of one kind and 5 of 5 times their size: 45 MiB a sequence.
  const auto room = room_wanted(demand, kBytes, 45 * 30 * 0x1p20);
  EXPECT_EQ(room, (KvRoom{.full = 30 * usual, .ring = 30 * 5}));
  EXPECT_EQ(room_wanted(demand, kBytes, 0), (KvRoom{.full = pages_for(8192), .ring = 5}));
}

}  // namespace
}  // namespace sluice::worker::model
