// Oracle: the value that was written, its text again, and the key names in docs/job-directory.md.
#include "jobs/metrics.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "jobs/error.h"

namespace sluice::jobs {
namespace {

using testing::HasSubstr;

TEST(Metrics, SurviveTheRoundTrip) {
  const RunId run{.attempt = 2, .restart = 3};
  const Started started{.run = run,
                        .cluster_id = "48213",
                        .started_unix_s = 1.7e9 + 0.123456789,
                        .hosts = {"n1", "n\"2"},
                        .partition_text = "0-18 | 19-29 + head"};
  const auto started_back = parse_started(to_json(started));
  EXPECT_EQ(to_json(started_back), to_json(started));
  EXPECT_EQ(started_back.run, run);
  EXPECT_EQ(started_back.started_unix_s, started.started_unix_s);
  EXPECT_EQ(started_back.hosts, started.hosts);

  const Progress progress{.prompts_total = std::int64_t{1} << 40, .output_tokens_per_s = 0.1};
  EXPECT_EQ(to_json(parse_progress(to_json(progress))), to_json(progress));
  EXPECT_EQ(parse_progress(to_json(progress)).prompts_total, progress.prompts_total);

  StageMetrics stage;
  stage.rank = 5;
  stage.has_head = true;
  stage.bubble_s = 1e-9;
  stage.kv_bytes = std::int64_t{1} << 50;
  EXPECT_EQ(to_json(parse_stage_metrics(to_json(stage))), to_json(stage));
  EXPECT_EQ(parse_stage_metrics(to_json(stage)).bubble_s, 1e-9);

  RunMetrics metrics;
  metrics.run = run;
  metrics.wall_clock_s = 16.34;
  metrics.tpot_s.p99 = 0.25;
  EXPECT_EQ(to_json(parse_run_metrics(to_json(metrics))), to_json(metrics));
  EXPECT_EQ(parse_run_metrics(to_json(metrics)).tpot_s.p99, 0.25);

  const ExitRecord exit{.run = run, .exit_code = 75, .outcome = "stopped", .message = "line\n2"};
  EXPECT_EQ(to_json(parse_exit_record(to_json(exit))), to_json(exit));
  EXPECT_EQ(parse_exit_record(to_json(exit)).exit_code, 75);
}

TEST(Metrics, WhatIsNotANumberIsNullAndComesBackAsIt) {
  RunMetrics metrics;
  metrics.ttft_s.p50 = std::numeric_limits<double>::quiet_NaN();
  const auto json = to_json(metrics);
  EXPECT_THAT(json, HasSubstr("\"p50\": null"));
  EXPECT_TRUE(std::isnan(parse_run_metrics(json).ttft_s.p50));
}

TEST(Metrics, AnExitRecordWithoutItsVerdictIsNone) {
  EXPECT_THAT([] { parse_exit_record(R"({"format_version": 1, "run": "1.0"})"); },
              testing::ThrowsMessage<Error>(HasSubstr("\"exit_code\" is missing")));
  EXPECT_THAT([] { parse_exit_record("{}"); }, testing::Throws<Error>());
  EXPECT_THAT([] { parse_exit_record(""); }, testing::Throws<Error>());
}

}  // namespace
}  // namespace sluice::jobs
