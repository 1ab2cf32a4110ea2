// Oracle: a clock set by hand, and the definitions of docs/data-model.md worked out on paper.
#include "worker/pipeline/stage_clock.h"

#include <gtest/gtest.h>

namespace sluice::worker::pipeline {
namespace {

struct HandClock : testing::Test {
  double time_s = 100;
  StageClock clock{[this] { return time_s; }};

  double sum() const {
    double all = 0;
    for (std::size_t c = 0; c < kCategories; ++c) all += clock.seconds(static_cast<Category>(c));
    return all;
  }
};
using StageClockTest = HandClock;

TEST_F(StageClockTest, SumIsTheWindowWhateverHappens) {
  clock.switch_to(Category::decode);
  time_s = 101;
  clock.open(100.5);
  time_s = 103;
  clock.switch_to(Category::output);
  time_s = 104;
  clock.switch_to(Category::compute);
  time_s = 110;
  clock.close(112);
  EXPECT_DOUBLE_EQ(clock.wall_s(), 11.5);
  EXPECT_DOUBLE_EQ(sum(), 11.5);
}

// Clocks are aligned with an error: a leader's end may seem to come before a stage's last switch.
TEST_F(StageClockTest, NoCategoryIsNegativeWhenTheWindowClosesInThePast) {
  clock.open(100);
  clock.switch_to(Category::decode);
  time_s = 104;
  clock.switch_to(Category::bubble);
  time_s = 105;
  clock.close(103.5);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::bubble), 0);
  EXPECT_DOUBLE_EQ(clock.wall_s(), 4);
  EXPECT_DOUBLE_EQ(sum(), 4);
}

TEST_F(StageClockTest, WaitIsBubbleUntilTheSenderBeganAndCommunicationSince) {
  clock.open(100);
  clock.switch_to(Category::bubble);  // w = 100
  time_s = 110;                       // d
  clock.end_wait(107);                // s
  EXPECT_DOUBLE_EQ(clock.seconds(Category::bubble), 7);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::communication), 3);
}

TEST_F(StageClockTest, MessageSentBeforeTheWaitBeganIsNoBubble) {
  clock.open(100);
  clock.switch_to(Category::bubble);
  time_s = 104;
  clock.end_wait(90);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::bubble), 0);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::communication), 4);
}

// Clocks are aligned with an error: a sender may seem to begin after the arrival.
TEST_F(StageClockTest, SenderFromTheFutureCostsNoCommunication) {
  clock.open(100);
  clock.switch_to(Category::bubble);
  time_s = 104;
  clock.end_wait(105);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::bubble), 4);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::communication), 0);
}

TEST_F(StageClockTest, TimeBeforeTheFirstMessageIsBubbleOfTheWindowOnly) {
  clock.switch_to(Category::bubble);  // long before the window
  time_s = 150;
  clock.open(140);
  clock.end_wait(149);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::bubble), 9);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::communication), 1);
}

TEST_F(StageClockTest, ComputeIsDividedByItsTokens) {
  clock.open(100);
  clock.switch_to(Category::compute);
  time_s = 102;
  {
    const Charge charge(clock, Category::communication);
    time_s = 103;
  }
  time_s = 105;
  clock.switch_to(Category::unattributed);
  clock.end_compute(0.25);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::prefill), 1);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::decode), 3);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::communication), 1);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::compute), 0);
}

TEST_F(StageClockTest, NothingCountsOutsideTheWindow) {
  clock.switch_to(Category::decode);
  time_s = 105;
  clock.switch_to(Category::output);
  EXPECT_DOUBLE_EQ(sum(), 0);
  clock.open(105);
  clock.close(106);
  time_s = 120;
  clock.switch_to(Category::decode);
  EXPECT_DOUBLE_EQ(sum(), 1);
}

}  // namespace
}  // namespace sluice::worker::pipeline
