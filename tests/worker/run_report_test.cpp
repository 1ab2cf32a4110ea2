// Oracle: numpy.percentile's default (linear) on paper, and phases that must add up.
#include "worker/run_report.h"

#include <gtest/gtest.h>

#include <cmath>

#include "jobs/files.h"

namespace sluice::worker {
namespace {

TEST(RunReport, QuantilesInterpolate) {
  const jobs::Quantiles q = quantiles({4, 1, 3, 2, 5});
  EXPECT_DOUBLE_EQ(q.p50, 3);
  EXPECT_DOUBLE_EQ(q.p90, 4.6);
  EXPECT_DOUBLE_EQ(q.p99, 4.96);
  EXPECT_DOUBLE_EQ(quantiles({7}).p99, 7);
  EXPECT_TRUE(std::isnan(quantiles({}).p50));
}

TEST(RunReport, RatesUseTheWindowAndTimesTheLongestStage) {
  LeaderReport report;
  report.prompt_tokens = 30;
  report.output_tokens = 60;
  report.timings = {{.queue_s = 1, .ttft_s = 2, .tpot_s = 3, .latency_s = 4}, {.ttft_s = 2}};
  jobs::StageMetrics a, b;
  a.wall_clock_s = b.wall_clock_s = 2;
  a.load_s = 1, b.load_s = 3;
  a.elapsed_s = 9, b.elapsed_s = 8;
  a.preprocess_s = 0.5;
  const std::vector stages{a, b};
  const jobs::RunMetrics m = measure_run({.attempt = 2, .restart = 1}, report, stages);
  EXPECT_DOUBLE_EQ(m.output_tokens_per_s, 30);
  EXPECT_DOUBLE_EQ(m.total_tokens_per_s, 45);
  EXPECT_DOUBLE_EQ(m.io_s, 3);
  EXPECT_DOUBLE_EQ(m.preprocess_s, 0.5);
  EXPECT_DOUBLE_EQ(m.elapsed_s, 9);
  EXPECT_DOUBLE_EQ(m.latency_s.p90, 4) << "one answer's was not measured";
}

TEST(RunReport, OccupancyIsTheMeanOverTheMicroBatchesOfAllReplicas) {
  jobs::StageMetrics first, second, follower, idle;
  first.micro_batches = 40;
  first.decode_micro_batches = 30;
  first.micro_batch_occupancy = 1;
  second.micro_batches = 12;
  second.decode_micro_batches = 10;
  second.micro_batch_occupancy = 0.5;
  follower = first;
  follower.stage = 1;
  const jobs::RunMetrics m = measure_run({}, {}, std::vector{first, follower, second, idle});
  EXPECT_EQ(m.micro_batches, 52);
  EXPECT_DOUBLE_EQ(m.micro_batch_occupancy, (30 * 1 + 10 * 0.5) / 40);
  EXPECT_TRUE(std::isnan(measure_run({}, {}, std::vector{idle}).micro_batch_occupancy));
}

TEST(PhaseClock, PhasesAddUpToTheElapsedTime) {
  PhaseClock phases(jobs::unix_time_s() - 5);
  const double now_s = jobs::steady_time_s();
  phases.begin(Phase::load, now_s + 1);
  phases.begin(Phase::window, now_s + 3);
  phases.begin(Phase::teardown, now_s + 10);
  phases.begin(Phase::teardown, now_s + 11);
  EXPECT_NEAR(phases.seconds(Phase::launch), 6, 0.1);
  EXPECT_DOUBLE_EQ(phases.seconds(Phase::load), 2);
  EXPECT_DOUBLE_EQ(phases.seconds(Phase::window), 7);
  EXPECT_DOUBLE_EQ(phases.seconds(Phase::teardown), 1);
  EXPECT_NEAR(phases.elapsed_s(), 16, 0.1);
}

}  // namespace
}  // namespace sluice::worker
