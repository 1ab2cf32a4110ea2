// Oracle: times and notes by hand, for rows written here.
#include "scheduler/cli/view.h"

#include <gtest/gtest.h>

#include "tests/scheduler/site.h"

namespace sluice::scheduler::cli {
namespace {

using jobs::EventKind;
using jobs::JobState;

class ViewTest : public testing::Test {
 protected:
  // An attempt whose run was found `ended` (0: killed) by a tick at `seen_s`, the cluster's word.
  void attempt(int number, db::Run run, double cluster_end_s, double seen_s) {
    db::Attempt attempt;
    attempt.job = id_;
    attempt.attempt = number;
    attempt.token = jobs::new_token();
    ASSERT_TRUE(store_.begin_attempt(attempt));
    ASSERT_TRUE(store_.finish_submission(attempt, "42", 1));
    run.job = id_;
    run.run.attempt = number;
    store_.put_run(run);
    attempt.ended_unix_s = cluster_end_s;
    store_.note_sighting(attempt);
    for (const auto kind : {EventKind::attempt_ended, EventKind::failed}) {
      ASSERT_TRUE(store_.append_event(
          id_, JobState::pending,
          {.kind = kind, .time_s = seen_s, .attempt = number, .reason = "gone; see LOG"}));
    }
  }
  static db::Run from_to(double started_s, double ended_s) {
    db::Run run;
    run.started_unix_s = started_s;
    run.ended_unix_s = ended_s;
    return run;
  }

  tests::LocalSite site_;
  jobs::JobId id_ = site_.queue();
  db::Store store_ = site_.open();
};

TEST_F(ViewTest, AJobLastedAsLongAsItsRunsWheneverATickLooked) {
  attempt(1, from_to(100, 110), 111, 5000);
  EXPECT_EQ(store_.job(id_)->started_unix_s, 100);
  EXPECT_EQ(store_.job(id_)->ended_unix_s, 110);
  EXPECT_EQ(view_of(store_, *store_.job(id_)).elapsed_s, 10);
  ASSERT_TRUE(store_.append_event(id_, JobState::failed, {.kind = EventKind::retried}));
  attempt(2, from_to(6000, 0), 6005, 9000);
  EXPECT_EQ(store_.job(id_)->ended_unix_s, 6005) << "killed: the cluster's word";
  EXPECT_EQ(view_of(store_, *store_.job(id_)).elapsed_s, 15) << "without the gap between";
}

TEST_F(ViewTest, ProgressIsTheSumOfTheReplicas) {
  const auto id = site_.queue({{"nodes", {"2"}}, {"replicas", {"2"}}});
  db::Attempt attempt;
  attempt.job = id;
  attempt.attempt = 1;
  attempt.token = jobs::new_token();
  ASSERT_TRUE(store_.begin_attempt(attempt));
  ASSERT_TRUE(store_.finish_submission(attempt, "42", 1));
  ASSERT_TRUE(store_.append_event(id, JobState::pending,
                                  {.kind = EventKind::seen_running, .time_s = 5, .attempt = 1}));
  const auto layout = site_.layout(id);
  const jobs::RunId run{.attempt = 1, .restart = 0};
  std::filesystem::create_directories(layout.run_dir(run));
  jobs::Started started;
  started.run = run;
  jobs::write_file_whole(layout.started(run), to_json(started));
  for (int replica = 0; replica < 2; ++replica) {
    jobs::Progress progress;
    progress.prompts_total = 3;
    progress.prompts_done = 1 + replica;
    progress.output_tokens_per_s = 10 + replica;
    progress.wall_clock_s = 4 - replica;
    jobs::write_file_whole(layout.progress(run, replica), to_json(progress));
  }
  const JobView view = view_of(store_, *store_.job(id));
  EXPECT_EQ(view.prompts_done, 3);
  EXPECT_EQ(view.output_tokens_per_s, 21);
  EXPECT_EQ(view.progress->wall_clock_s, 4);
}

TEST_F(ViewTest, ARetryIsNamedBeforeALongReason) {
  attempt(1, from_to(100, 110), 111, 5000);
  EXPECT_EQ(view_of(store_, *store_.job(id_)).note, "sluice retry 1 does the rest; gone; see LOG");
}

TEST_F(ViewTest, ARetryIsNoHelpBeforeWhatWasRefusedIsMended) {
  auto refused = from_to(100, 110);
  refused.exit_code = 2;
  attempt(1, refused, 111, 5000);
  EXPECT_EQ(view_of(store_, *store_.job(id_)).note, "gone; see LOG; mend it, then sluice retry 1");
}

}  // namespace
}  // namespace sluice::scheduler::cli
