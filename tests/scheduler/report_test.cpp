// Oracle: the reference analysis (a 26-layer model, a T4 a node), whose printed ratios must come
// out of its seconds; sums by hand.
#include "scheduler/report.h"

#include <gmock/gmock.h>

#include "scheduler/cli/report_tables.h"

namespace sluice::scheduler {
namespace {

using testing::Contains;
using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::Optional;

constexpr double kTwoDigits = 0.0051;  // ratios are printed with two

struct Timing {
  double wall_s = 1;
  std::int64_t tokens = 250;
  double bubble_s = 0, communication_s = 0;
};

// Two stages share the compute that is left of the wall-clock.
MeasuredRun measured(int stages, const Timing& timing) {
  MeasuredRun run{.job = 1};
  run.run.wall_clock_s = timing.wall_s;
  run.run.output_tokens = timing.tokens;
  run.run.output_tokens_per_s = static_cast<double>(timing.tokens) / timing.wall_s;
  for (int s = 0; s < stages; ++s) {
    jobs::StageMetrics stage;
    stage.rank = stage.stage = s;
    stage.cpu = "a CPU";
    stage.wall_clock_s = timing.wall_s;
    stage.bubble_s = timing.bubble_s;
    stage.communication_s = timing.communication_s;
    stage.decode_s = timing.wall_s - timing.bubble_s - timing.communication_s;
    stage.decode_tokens = timing.tokens;
    run.stages.push_back(stage);
  }
  return run;
}

struct At {
  int nodes = 1, batch_size = 1;
  std::int64_t prompts = 5;
};

MeasuredPoint point(const At& at, std::vector<Timing> timings) {
  MeasuredPoint point{.role = {}, .spec = {}, .wanted = static_cast<int>(timings.size())};
  point.spec.model = "/models/m.gguf";
  point.spec.shape = {.nodes = at.nodes, .ranks_per_node = 1, .replicas = 1, .stages = at.nodes};
  point.spec.batch_size = at.batch_size;
  point.spec.prompt_count = at.prompts;
  for (const Timing& timing : timings) point.runs.push_back(measured(at.nodes, timing));
  return point;
}

ReportInput input(const std::string& kind, std::vector<MeasuredPoint> points) {
  return {.title = "study-1",
          .kind = kind,
          .points = std::move(points),
          .longest_chain_s = [](jobs::JobId, double, double) { return 0.0; }};
}

TEST(Report, GivesTheReferencesStrongScaling) {
  const auto report = make_report(
      input("strong", {point({.nodes = 1}, {{16.34, 252}}), point({.nodes = 2}, {{12.22, 252}})}));
  EXPECT_THAT(report.rows[1].speedup, Optional(DoubleNear(1.34, kTwoDigits)));
  EXPECT_THAT(report.rows[1].efficiency, Optional(DoubleNear(0.67, kTwoDigits)));
  EXPECT_NEAR(report.rows[0].output_tokens_per_s, 15.42, kTwoDigits);
  EXPECT_NEAR(report.rows[1].output_tokens_per_s, 20.62, kTwoDigits);
}

TEST(Report, GivesTheReferencesWeakScaling) {
  const auto report =
      make_report(input("weak", {point({.nodes = 1}, {{16.78, 253}}),
                                 point({.nodes = 2, .prompts = 10}, {{24.67, 505}})}));
  EXPECT_THAT(report.rows[1].speedup, Optional(DoubleNear(1.36, kTwoDigits)));
  EXPECT_THAT(report.rows[1].efficiency, Optional(DoubleNear(0.68, kTwoDigits)));
}

TEST(Report, GivesTheReferencesBatchSweep) {
  const auto report = make_report(
      input("batch", {point({.nodes = 2, .batch_size = 1, .prompts = 10}, {{24.67, 505}}),
                      point({.nodes = 2, .batch_size = 2, .prompts = 10}, {{15.67, 505}}),
                      point({.nodes = 2, .batch_size = 4, .prompts = 10}, {{14.56, 505}})}));
  EXPECT_THAT(report.rows[1].speedup, Optional(DoubleNear(1.57, kTwoDigits)));
  EXPECT_THAT(report.rows[1].batch_efficiency, Optional(DoubleNear(0.79, kTwoDigits)));
  EXPECT_THAT(report.rows[2].speedup, Optional(DoubleNear(1.69, kTwoDigits)));
  EXPECT_THAT(report.rows[2].batch_efficiency, Optional(DoubleNear(0.42, kTwoDigits)));
  EXPECT_EQ(report.rows[1].efficiency, std::nullopt);  // it is not the batch efficiency
}

TEST(Report, SaysWhenPromptsDoNotFillTheLastRound) {
  auto sweep = input("batch", {point({.batch_size = 1, .prompts = 10}, {{10, 500}}),
                               point({.batch_size = 2, .prompts = 10}, {{6, 500}}),
                               point({.batch_size = 4, .prompts = 10}, {{4, 500}})});
  for (MeasuredPoint& point : sweep.points) point.spec.max_tokens = 50;
  const auto report = make_report(sweep);
  EXPECT_THAT(report.findings, Contains(EndsWith("batch efficiency 0.83.")));
  EXPECT_THAT(report.findings,
              Contains(EndsWith("batch efficiency 0.62, of at most 0.83, as 10 prompts do not fill "
                                "the last round.")));
  for (MeasuredPoint& point : sweep.points) point.spec.max_tokens = 60;  // some ended by themselves
  EXPECT_THAT(make_report(sweep).findings, Each(Not(HasSubstr("at most"))));
}

TEST(Report, ABatchSizeIsComparedOnAsManyNodesAndNodesOfOneBatchSize) {
  const auto report = make_report(input("batch", {point({.nodes = 1, .batch_size = 1}, {{8}}),
                                                  point({.nodes = 1, .batch_size = 2}, {{5}}),
                                                  point({.nodes = 2, .batch_size = 1}, {{4.2}}),
                                                  point({.nodes = 2, .batch_size = 2}, {{3}})}));
  EXPECT_THAT(report.rows[3].speedup, Optional(DoubleNear(1.4, 1e-12)));
  EXPECT_THAT(report.rows[3].batch_efficiency, Optional(DoubleNear(0.7, 1e-12)));
  EXPECT_THAT(report.rows[3].efficiency, Optional(DoubleNear(5.0 / 3 / 2, 1e-12)));
  EXPECT_THAT(report.rows[2].efficiency, Optional(DoubleNear(8 / 4.2 / 2, 1e-12)));
}

TEST(Report, LossesSumToWhatEfficiencyLacks) {
  const auto report = make_report(input(
      "strong", {point({.nodes = 1}, {{.wall_s = 10}}),
                 point({.nodes = 2}, {{.wall_s = 6, .bubble_s = 0.6, .communication_s = 0.2}})}));
  const ReportRow& row = report.rows[1];
  ASSERT_TRUE(row.losses.has_value());
  EXPECT_NEAR(row.losses->sum(), 1 - *row.efficiency, 1e-12);
  EXPECT_NEAR(row.losses->bubble, 0.1, 1e-12);  // 2 x 0.6 of 12 s
  EXPECT_NEAR(row.losses->communication, 0.2 * 2 / 12, 1e-12);
  EXPECT_NEAR(row.losses->compute, (2 * 5.2 - 10) / 12, 1e-12);
}

TEST(Report, ComparesMediansAndShowsTheRunNearestToTheMedian) {
  const auto report = make_report(input(
      "strong", {point({.nodes = 1}, {{9}, {10}, {30}}), point({.nodes = 2}, {{5}, {50}, {5.5}})}));
  EXPECT_EQ(report.rows[0].usual->run.wall_clock_s, 10);
  EXPECT_THAT(report.rows[1].speedup, Optional(DoubleNear(10 / 5.5, 1e-12)));
  EXPECT_THAT(report.warnings, Contains(HasSubstr("the repeats differ by")));
}

// Of two, the shorter: a row's figures are one run's.
TEST(Report, RowsOfEvenlyManyRunsAreConsistent) {
  const auto report =
      make_report(input("strong", {point({.nodes = 1}, {{.wall_s = 8, .tokens = 240}, {12, 240}}),
                                   point({.nodes = 2}, {{.wall_s = 7, .tokens = 240}, {5, 240}})}));
  const ReportRow& two = report.rows[1];
  EXPECT_EQ(two.wall_clock_s.median, 5);
  EXPECT_EQ(two.output_tokens_per_s, 48);
  EXPECT_THAT(two.efficiency, Optional(DoubleNear(8.0 / 5 / 2, 1e-12)));
  EXPECT_NEAR(two.losses->sum(), 1 - *two.efficiency, 1e-12);
}

TEST(Report, AComparisonSaysWhatItsRowsDifferIn) {
  auto split = point({.nodes = 2}, {{.wall_s = 4}});
  split.spec.head_split = "on";
  split.spec.name = "another";
  split.spec.cluster.time = "1:00";
  const auto report = make_report(input("custom", {point({.nodes = 2}, {{.wall_s = 5}}), split}));
  EXPECT_EQ(report.rows[0].settings, "head-split auto");
  EXPECT_EQ(report.rows[1].settings, "head-split on");
  EXPECT_THAT(cli::report_text(report, cli::Format::md), HasSubstr("| head-split on |"));
}

TEST(Report, BoundsTheSpeedupByTheLongestPrompt) {
  auto of_prompts = input(
      "strong", {point({.nodes = 1}, {{.wall_s = 10}}), point({.nodes = 4}, {{.wall_s = 5}})});
  // Tokens of the baseline take 10 s / 250; one answer has 100 of them.
  of_prompts.longest_chain_s = [](jobs::JobId, double, double token_s) { return 101 * token_s; };
  const auto report = make_report(of_prompts);
  EXPECT_THAT(report.rows[1].bound, Optional(DoubleNear(2.5, 1e-9)));
  EXPECT_THAT(report.warnings, Contains(HasSubstr("no schedule could be more than 2.50 times")));
}

TEST(Report, TellsWhenTheBaselineFlatters) {
  auto narrow = input(
      "strong", {point({.nodes = 1}, {{.wall_s = 10}}), point({.nodes = 2}, {{.wall_s = 5.2}})});
  EXPECT_THAT(make_report(narrow).warnings, Not(Contains(HasSubstr("flatters"))));
  narrow.elsewhere = {point({.nodes = 1, .batch_size = 8}, {{.wall_s = 2.5}})};
  const auto report = make_report(narrow);
  EXPECT_THAT(report.warnings, Contains(HasSubstr("batch size 8 reaches 4.00 times")));
  EXPECT_THAT(report.rows[1].against_best, Optional(DoubleNear(10 / 5.2 / 4 / 2, 1e-9)));
}

// One of them had three of five prompts, and the other waited for it.
TEST(Report, RanksApartAreTakenAtThePaceOfThoseThatWork) {
  auto apart = point({.nodes = 2, .prompts = 10}, {{.wall_s = 12, .tokens = 500}});
  apart.role = "independent";
  apart.spec.shape = {.nodes = 2, .ranks_per_node = 1, .replicas = 2, .stages = 1};
  auto& ranks = apart.runs[0].stages;
  ranks[0].decode_tokens = 300;
  ranks[1].decode_tokens = 200;
  ranks[1].bubble_s = 4;
  const auto report = make_report(input("strong", {point({.nodes = 1}, {{.wall_s = 10}}),
                                                   point({.nodes = 2}, {{.wall_s = 5.2}}), apart}));
  // 300 in 12 s and 200 in 8 s: 50 tokens a second.
  EXPECT_THAT(report.rows[1].of_independent, Optional(DoubleNear(250 / 5.2 / 50, 1e-9)));
}

TEST(Report, TellsWhoWaitsForWhom) {
  auto uneven = point({.nodes = 2}, {{.wall_s = 6}});
  auto& stages = uneven.runs[0].stages;
  stages[0].bubble_s = 2;
  stages[0].decode_s = 4;
  stages[1].has_head = true;
  const auto report = make_report(input("strong", {point({.nodes = 1}, {{.wall_s = 10}}), uneven}));
  EXPECT_THAT(report.findings,
              Contains("2 nodes: stage 0 waits 33 % of the wall-clock: stage 1 computes 6.00 s, it "
                       "4.00 s; its head is part of that: try --head-split on."));
}

TEST(Report, WarnsOfWhatMakesATableDoubtful) {
  auto other = point({.nodes = 2}, {{.wall_s = 4.5}});
  other.runs[0].stages[1].cpu = "another CPU";
  other.runs[0].stages[1].unattributed_s = 0.1;
  other.wanted = 3;
  other.left_out = {"job 9 took 2 runs: it is left out"};
  const auto report = make_report(input("strong", {point({.nodes = 1}, {{.wall_s = 10}}), other}));
  EXPECT_THAT(report.warnings, Contains(HasSubstr("superlinear")));
  EXPECT_THAT(report.warnings, Contains("different hardware in one table: a CPU; another CPU"));
  EXPECT_THAT(report.warnings, Contains(HasSubstr("is in no category")));
  EXPECT_THAT(report.warnings, Contains("2 nodes, batch size 1: 1 of 3 runs so far"));
  EXPECT_THAT(report.warnings, Contains("job 9 took 2 runs: it is left out"));
}

TEST(Report, ShowsTheReferencesColumnsByTheirNames) {
  const auto report = make_report(
      input("strong", {point({.nodes = 1}, {{16.34, 252}}), point({.nodes = 2}, {{12.22, 252}})}));
  const std::string md = cli::report_text(report, cli::Format::md);
  for (const char* name : {"| Nodes |", "Num Prompts", "Batch Size", "Speedup",
                           "Wall Clock Time (s)", "Throughput (tokens/sec)", "Parallel Efficiency",
                           "I/O Time (s)", "Communication Time (s)", "Preprocessing Cost (s)"}) {
    EXPECT_THAT(md, HasSubstr(name));
  }
  EXPECT_THAT(md, HasSubstr("| 1.34x | 12.22 | 20.62 | 0.67 |"));
}

TEST(Report, OfNothingSaysSo) {
  auto nothing = point({.nodes = 1}, {});
  nothing.wanted = 2;
  const auto report = make_report(input("strong", {nothing}));
  EXPECT_TRUE(report.rows.empty());
  EXPECT_THAT(report.warnings, ElementsAre("1 node, batch size 1: 0 of 2 runs so far"));
}

}  // namespace
}  // namespace sluice::scheduler
