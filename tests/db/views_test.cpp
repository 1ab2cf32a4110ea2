// Oracle: sums and quotients by hand (252 tokens / 16.34 s = 15.42, a published table's).
#include <gmock/gmock.h>

#include "tests/db/fixture.h"

namespace sluice::db {
namespace {

class ViewsTest : public testing::Test {
 protected:
  double number(const std::string& sql) const {
    return std::stod(tests::query(store_.path(), sql));
  }
  void put_run(jobs::RunId run, const jobs::RunMetrics& metrics) {
    store_.put_run({.job = id_,
                    .run = run,
                    .cluster_id = "",
                    .partition_text = "",
                    .started_unix_s = 5,
                    .exit_code = 0,
                    .outcome = "completed",
                    .message = ""});
    auto numbered = metrics;
    numbered.run = run;
    store_.put_run_metrics(id_, numbered);
  }

  const tests::TempDir dir_;
  Store store_ = Store::open(dir_ / "sluice.db");
  jobs::JobId id_ = tests::add_job(store_);
};

TEST_F(ViewsTest, AJobIsTheSumOfItsRuns) {
  jobs::RunMetrics metrics;
  metrics.wall_clock_s = 16.34;
  metrics.io_s = 2;
  metrics.prompt_tokens = 100;
  metrics.output_tokens = 252;
  metrics.ttft_s.p90 = 0.5;
  put_run({1, 0}, metrics);
  EXPECT_NEAR(number("SELECT output_tokens_per_s FROM v_jobs"), 15.42, 0.005);
  EXPECT_EQ(number("SELECT ttft_p90_s FROM v_jobs"), 0.5);

  put_run({1, 1}, metrics);
  EXPECT_DOUBLE_EQ(number("SELECT wall_clock_s FROM v_jobs"), 2 * 16.34);
  EXPECT_DOUBLE_EQ(number("SELECT total_tokens_per_s FROM v_jobs"), 352 / 16.34);
  EXPECT_EQ(number("SELECT io_s FROM v_jobs"), 4);
  EXPECT_EQ(number("SELECT runs FROM v_jobs"), 2);
  EXPECT_EQ(tests::query(store_.path(), "SELECT ttft_p90_s FROM v_jobs"), "");  // not a sum
  EXPECT_EQ(tests::query(store_.path(), "SELECT group_concat(run) FROM v_runs"), "1.0,1.1");
  EXPECT_EQ(number("SELECT count(*) FROM v_runs WHERE ended_unix_s IS NULL"), 2);
}

TEST_F(ViewsTest, BothSumsStandBesideWhatTheyShouldEqual) {
  jobs::RunMetrics metrics;
  metrics.wall_clock_s = 64;
  metrics.micro_batches = 11;
  metrics.micro_batch_occupancy = 0.75;
  put_run({1, 0}, metrics);
  for (int rank = 0; rank < 2; ++rank) {
    jobs::StageMetrics stage;
    stage.rank = stage.stage = rank;
    stage.elapsed_s = 100;
    stage.launch_s = 1;
    stage.load_s = 2;
    stage.preprocess_s = 4;
    stage.wall_clock_s = 64;
    stage.teardown_s = 8;
    stage.elapsed_unattributed_s = 21;
    stage.prefill_s = 1;
    stage.decode_s = 2;
    stage.sampling_s = 4;
    stage.communication_s = 8;
    stage.bubble_s = rank == 0 ? 16 : 0;
    stage.output_s = 0.5;
    stage.unattributed_s = rank == 0 ? 32.5 : 48.5;
    stage.decode_micro_batches = 10;
    stage.micro_batch_occupancy = 0.75;
    if (rank == 1) stage.device_wait_s = 3;
    store_.put_stage_metrics(id_, {1, 0}, stage);
  }
  EXPECT_EQ(number("SELECT elapsed_sum_s FROM v_stages WHERE rank = 1"), 100);
  EXPECT_EQ(number("SELECT wall_sum_s FROM v_stages WHERE rank = 1"), 64);
  EXPECT_EQ(number("SELECT bubble_share FROM v_stages WHERE rank = 0"), 0.25);
  EXPECT_EQ(number("SELECT micro_batch_occupancy FROM v_stages WHERE rank = 1"), 0.75);
  EXPECT_EQ(number("SELECT decode_micro_batches FROM v_stages WHERE rank = 1"), 10);
  EXPECT_EQ(number("SELECT sum(device_wait_s) FROM v_stages"), 3);
  EXPECT_EQ(number("SELECT micro_batch_occupancy FROM v_runs"), 0.75);
  EXPECT_EQ(number("SELECT micro_batches FROM v_runs"), 11);
  for (const auto* view : {"v_runs", "v_jobs"}) {
    const auto from = std::string(" FROM ") + view;
    EXPECT_EQ(number("SELECT elapsed_sum_s" + from), 100);
    EXPECT_EQ(number("SELECT wall_sum_s" + from), 64);
    EXPECT_EQ(number("SELECT bubble_s" + from), 8);  // the mean over the stages
    EXPECT_EQ(number("SELECT bubble_share" + from), 0.125);
  }
}

TEST_F(ViewsTest, AJobWithoutMeasurementsIsShownAllTheSame) {
  EXPECT_EQ(tests::query(store_.path(), "SELECT state FROM v_jobs"), "queued");
  EXPECT_EQ(number("SELECT runs FROM v_jobs"), 0);
  EXPECT_EQ(tests::query(store_.path(), "SELECT wall_clock_s FROM v_jobs"), "");
}

TEST_F(ViewsTest, ResultsCarryTheRunThatGaveThem) {
  jobs::Result result;
  result.id = "a";
  result.token_ids = {4, 5};
  result.run = {2, 1};
  result.job = store_.job(id_)->uid;
  ASSERT_TRUE(store_.add_results(id_, {.file = "f", .offset = 0, .end = 1, .results = {result}}));
  EXPECT_EQ(tests::query(store_.path(), "SELECT run || ' ' || token_ids FROM v_results"),
            "2.1 [4,5]");
}

}  // namespace
}  // namespace sluice::db
