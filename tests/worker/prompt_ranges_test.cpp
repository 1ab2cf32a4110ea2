// Oracle: a list of all prompts, crossed off one by one; sums on paper.
#include "worker/batch/prompt_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "worker/error.h"

namespace sluice::worker::batch {
namespace {

using testing::ElementsAre;

// Every line is 10 bytes long.
RangeDealer dealer(const std::vector<bool>& done, int replicas, std::int64_t stride = 1) {
  return RangeDealer(
      {.prompts = static_cast<std::int64_t>(done.size()),
       .to_do = std::ranges::count(done, false),
       .replicas = replicas,
       .is_done = [done](std::int64_t i) { return done[static_cast<std::size_t>(i)]; },
       .stride = stride,
       .offset = [](std::int64_t i) { return 10 * i; }});
}

std::vector<std::int64_t> sizes(RangeDealer dealer) {
  std::vector<std::int64_t> sizes;
  while (const auto range = dealer.deal()) sizes.push_back(range->prompts());
  return sizes;
}

TEST(PromptRanges, CoverEveryPromptThatIsToDoExactlyOnce) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto one_of = [&](int low, int high) {
      return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
    };
    std::vector<bool> done(static_cast<std::size_t>(one_of(0, seed % 10 == 0 ? 60000 : 500)));
    const int answered_of_ten = one_of(0, 10);
    for (std::size_t i = 0; i < done.size(); ++i) done[i] = one_of(1, 10) <= answered_of_ten;
    const int stride = one_of(1, 70);
    RangeDealer deals = dealer(done, one_of(1, 9), stride);
    std::vector<int> times(done.size());
    std::int64_t last = -1;
    while (const auto range = deals.deal()) {
      ASSERT_EQ(range->first % stride, 0);
      ASSERT_EQ(range->offset, 10 * range->first);
      ASSERT_GE(range->prompts(), 1);
      ASSERT_LE(range->prompts(), kRangePromptsMax);
      ASSERT_LE(range->wanted.size(), kRangeLinesMax);
      for (std::size_t line = 0; line < range->wanted.size(); ++line) {
        if (range->wanted[line] == 0) continue;
        const std::int64_t index = range->first + static_cast<std::int64_t>(line);
        ASSERT_GT(index, last) << "in the order of the file";
        last = index;
        ++times[static_cast<std::size_t>(index)];
      }
    }
    for (std::size_t i = 0; i < done.size(); ++i) ASSERT_EQ(times[i], done[i] ? 0 : 1) << i;
  }
}

TEST(PromptRanges, RoundsAreEqualAndEachHalfOfWhatIsLeft) {
  EXPECT_THAT(sizes(dealer(std::vector<bool>(24), 2)), ElementsAre(6, 6, 3, 3, 2, 2, 1, 1));
  EXPECT_THAT(sizes(dealer(std::vector<bool>(5), 3)), ElementsAre(1, 1, 1, 1, 1));
  std::vector<bool> half_done(24);
  for (std::size_t i = 0; i < half_done.size(); i += 2) half_done[i] = true;
  EXPECT_THAT(sizes(dealer(half_done, 2)), ElementsAre(3, 3, 2, 2, 1, 1));
}

TEST(PromptRanges, LargeJobBeginsWithTheLargestRangesAndEndsWithSingles) {
  const auto dealt = sizes(dealer(std::vector<bool>(100000), 4));
  EXPECT_EQ(dealt.front(), kRangePromptsMax);
  EXPECT_EQ(dealt.back(), 1);
  EXPECT_TRUE(std::ranges::is_sorted(dealt, std::greater<>()));
}

// Nobody to share with: as much at once as may be.
TEST(PromptRanges, LoneReplicaTakesAll) {
  EXPECT_THAT(sizes(dealer(std::vector<bool>(5000), 1)), ElementsAre(4096, 904));
}

TEST(PromptRanges, TravelAsBytes) {
  const PromptRange range{.first = 64, .offset = 1234567, .wanted = {0, 0, 1, 0, 1}};
  ByteWriter out;
  write(range, out);
  const auto bytes = out.take();
  EXPECT_LE(bytes.size(), kRangeBytesMax - kRangeLinesMax + range.wanted.size());
  ByteReader in(bytes);
  EXPECT_EQ(read_range(in), range);
  for (const PromptRange& broken :
       {PromptRange{.first = -1, .offset = 0, .wanted = {1}},
        PromptRange{.first = 0, .offset = -1, .wanted = {1}},
        PromptRange{.first = 0, .offset = 0, .wanted = {2}},
        PromptRange{
            .first = 0, .offset = 0, .wanted = std::vector<std::uint8_t>(kRangeLinesMax + 1)}}) {
    ByteWriter odd;
    write(broken, odd);
    const auto odd_bytes = odd.take();
    ByteReader reader(odd_bytes);
    EXPECT_THROW(read_range(reader), Error);
  }
}

}  // namespace
}  // namespace sluice::worker::batch
