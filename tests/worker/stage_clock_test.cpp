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

// It computes from 100 to 107; the host goes on to a wait at 102 and to a message at 105.
TEST_F(StageClockTest, WhileADeviceComputesItsTimeIsComputingWhateverTheHostIsAt) {
  clock.open(100);
  clock.switch_to({Category::compute, jobs::TraceKind::layers, 4});
  time_s = 102;
  clock.hold();
  clock.switch_to(Category::bubble);
  time_s = 105;
  clock.end_wait(104, {Category::compute, jobs::TraceKind::upload, 5});
  time_s = 106;
  {
    const Charge charge(clock, Category::output);
    time_s = 107;
    EXPECT_EQ(clock.release(Category::communication), Doing(Category::output));
    EXPECT_DOUBLE_EQ(clock.begun_s(), 107);
    clock.switch_to(Category::output);
    time_s = 109;
  }
  time_s = 112;
  clock.close(112);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::output), 2);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::bubble), 0);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::decode), 7 + 3);  // and what came at 105
  EXPECT_DOUBLE_EQ(sum(), 12);
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

using Spans = std::vector<jobs::TraceSpan>;
using jobs::TraceKind;

constexpr std::int64_t kSecond = 1'000'000'000;

TEST_F(StageClockTest, TraceHasASpanForEachThingThatItWasAt) {
  clock.open(100);
  clock.switch_to(Category::bubble);
  time_s = 110;
  clock.end_wait(107, {Category::compute, TraceKind::upload, 5});
  clock.begin_work({.micro_batch = 5, .prefill_tokens = 3, .decode_tokens = 4});
  time_s = 111;
  clock.switch_to({Category::compute, TraceKind::layers, 5});
  time_s = 113;
  {
    const Aside aside(clock);
    time_s = 114;
  }
  time_s = 115;
  clock.end_work(0.5, Category::bubble);
  time_s = 116;
  clock.switch_to(Category::bubble);  // no other thing
  time_s = 117;
  clock.close(118);
  EXPECT_EQ(clock.trace().since(100).spans,
            (Spans{{.kind = TraceKind::wait, .begin_ns = 0, .end_ns = 7 * kSecond},
                   {.kind = TraceKind::receive,
                    .begin_ns = 7 * kSecond,
                    .end_ns = 10 * kSecond,
                    .micro_batch = 5},
                   {.kind = TraceKind::micro_batch,
                    .begin_ns = 10 * kSecond,
                    .end_ns = 15 * kSecond,
                    .micro_batch = 5,
                    .prefill_tokens = 3,
                    .decode_tokens = 4},
                   {.kind = TraceKind::upload,
                    .begin_ns = 10 * kSecond,
                    .end_ns = 11 * kSecond,
                    .micro_batch = 5},
                   {.kind = TraceKind::layers,
                    .begin_ns = 11 * kSecond,
                    .end_ns = 15 * kSecond,
                    .micro_batch = 5,
                    .communication_ns = kSecond},
                   {.kind = TraceKind::wait, .begin_ns = 15 * kSecond, .end_ns = 18 * kSecond}}));
  EXPECT_DOUBLE_EQ(clock.seconds(Category::prefill), 2);
  EXPECT_DOUBLE_EQ(clock.seconds(Category::communication), 4);
}

TEST_F(StageClockTest, TraceSaysThatAStageHadNoWorkOutsideItsOwnWindow) {
  clock.switch_to(Category::output);
  clock.open(100);
  time_s = 102;
  clock.close(102);
  clock.widen(95, 103);
  EXPECT_EQ(clock.trace().since(95).spans,
            (Spans{{.kind = TraceKind::idle, .begin_ns = 0, .end_ns = 5 * kSecond},
                   {.kind = TraceKind::output, .begin_ns = 5 * kSecond, .end_ns = 7 * kSecond},
                   {.kind = TraceKind::idle, .begin_ns = 7 * kSecond, .end_ns = 8 * kSecond}}));
}

TEST_F(StageClockTest, TraceHasNothingOfWhatWasOutsideTheWindow) {
  clock.switch_to(Category::output);
  time_s = 104;
  clock.sent({.peer = 1}, 104, 8);
  clock.open(104);
  clock.close(105);
  clock.received({.peer = 1}, 105, 104);
  time_s = 107;
  clock.switch_to(Category::bubble);
  const jobs::Trace trace = clock.trace().since(104);
  EXPECT_EQ(trace.spans, (Spans{{.kind = TraceKind::output, .begin_ns = 0, .end_ns = kSecond}}));
  EXPECT_TRUE(trace.messages.empty());
}

TEST(StageTrace, KeepsTheNewestAndCountsWhatItOverwrote) {
  StageTrace trace(3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(trace.overwritten(), 0);
    trace.span(TraceKind::wait, {.begin_s = 1.0 * i, .end_s = i + 1.0, .micro_batch = i});
  }
  EXPECT_EQ(trace.since(0).spans.size(), 3u);
  EXPECT_EQ(trace.since(0).head.overwritten, 0);
  trace.sent({.peer = 2, .cargo = jobs::TraceCargo::hidden, .micro_batch = 3}, 3.5, 77);
  for (int i = 4; i < 6; ++i) {
    trace.span(TraceKind::send, {.begin_s = 1.0 * i, .end_s = i + 1.0, .micro_batch = i});
  }
  const jobs::Trace kept = trace.since(0);
  EXPECT_EQ(kept.head.overwritten, 3);
  ASSERT_EQ(kept.spans.size(), 2u);
  EXPECT_EQ(kept.spans[0].micro_batch, 4);
  EXPECT_EQ(kept.spans[1].micro_batch, 5);
  EXPECT_EQ(kept.messages, (std::vector<jobs::TraceMessage>{{.sent = true,
                                                             .at_ns = 3'500'000'000,
                                                             .peer = 2,
                                                             .cargo = jobs::TraceCargo::hidden,
                                                             .micro_batch = 3,
                                                             .bytes = 77}}));
  trace.clear();
  EXPECT_TRUE(trace.since(0).spans.empty());
  EXPECT_EQ(trace.overwritten(), 0);
}

}  // namespace
}  // namespace sluice::worker::pipeline
