// Oracle: values written are values read; a job's row is what jobs::replay tells of its events.
#include "db/store.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <random>

#include "db/error.h"
#include "tests/db/fixture.h"

namespace sluice::db {
namespace {

using jobs::EventKind;
using jobs::JobState;
using testing::ElementsAre;

class StoreTest : public testing::Test {
 protected:
  const tests::TempDir dir_;
  Store store_ = Store::open(dir_ / "sluice.db");
};

TEST_F(StoreTest, ANewJobIsQueuedWithItsFirstEvent) {
  auto spec = tests::small_spec(7);
  spec.max_attempts = 5;
  const auto id = store_.create_job(
      spec, [](jobs::JobId job) { return "/jobs/" + std::to_string(job) + "-x"; });
  const auto job = store_.job(id);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->uid, spec.uid);
  EXPECT_EQ(job->directory, "/jobs/" + std::to_string(id) + "-x");
  EXPECT_EQ(job->state, JobState::queued);
  EXPECT_EQ(job->prompts_total, 7);
  EXPECT_EQ(job->max_attempts, 5);
  EXPECT_EQ(job->attempt, 0);
  EXPECT_GT(job->created_unix_s, 1.6e9);
  const auto events = store_.events(id);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, EventKind::created);
  EXPECT_EQ(events[0].seq, 1);
  spec.job = id;
  EXPECT_EQ(to_json(*store_.spec(id)), to_json(spec));
  EXPECT_FALSE(store_.job(id + 1));
  EXPECT_FALSE(store_.spec(id + 1));
}

TEST_F(StoreTest, AJobWhoseDirectoryFailsIsNotKept) {
  EXPECT_THROW(store_.create_job(tests::small_spec(),
                                 [](jobs::JobId) -> std::filesystem::path {
                                   throw std::runtime_error("no room");
                                 }),
               std::runtime_error);
  EXPECT_TRUE(store_.all_jobs().empty());
  EXPECT_TRUE(store_.job(tests::add_job(store_)));  // the store goes on
}

TEST_F(StoreTest, ListsNewestFirstAndActiveOldestFirst) {
  const auto a = tests::add_job(store_), b = tests::add_job(store_), c = tests::add_job(store_);
  EXPECT_TRUE(store_.append_event(b, JobState::queued, {.kind = EventKind::failed}));
  const auto ids = [](const std::vector<Job>& list) {
    std::vector<jobs::JobId> found;
    for (const auto& job : list) found.push_back(job.id);
    return found;
  };
  EXPECT_THAT(ids(store_.all_jobs()), ElementsAre(c, b, a));
  EXPECT_THAT(ids(store_.active_jobs()), ElementsAre(a, c));
}

TEST_F(StoreTest, MovesOnlyFromTheExpectedState) {
  const auto id = tests::add_job(store_);
  const jobs::JobEvent failed{.kind = EventKind::failed};
  EXPECT_FALSE(store_.append_event(id, JobState::running, failed));
  EXPECT_FALSE(store_.append_event(id, JobState::queued, {.kind = EventKind::submitted}));
  EXPECT_FALSE(store_.append_event(id + 1, JobState::queued, failed));
  EXPECT_EQ(store_.events(id).size(), 1u);
  EXPECT_TRUE(store_.append_event(id, JobState::queued, failed));
  EXPECT_FALSE(store_.append_event(id, JobState::queued, failed));
  EXPECT_EQ(store_.job(id)->state, JobState::failed);
  EXPECT_EQ(store_.events(id).size(), 2u);
}

TEST_F(StoreTest, TellsTheLifeOfAnAttempt) {
  const auto id = tests::add_job(store_);
  const auto attempt = tests::attempt_of(id);
  EXPECT_FALSE(store_.begin_attempt(tests::attempt_of(id, 2)));  // there was no first
  EXPECT_TRUE(store_.begin_attempt(attempt));
  EXPECT_FALSE(store_.begin_attempt(attempt));
  EXPECT_EQ(store_.job(id)->state, JobState::submitting);
  EXPECT_EQ(store_.job(id)->attempt, 1);

  store_.note_try(attempt, 1001);
  store_.note_try(attempt, 1002);
  auto heir = attempt;
  heir.owner_pid = 4712;
  EXPECT_TRUE(store_.take_over(attempt, heir));
  EXPECT_FALSE(store_.take_over(attempt, heir));  // the owner has changed
  EXPECT_TRUE(store_.finish_submission(heir, "48213", 1003));
  EXPECT_FALSE(store_.finish_submission(attempt, "48214", 1004));
  EXPECT_FALSE(store_.take_over(heir, attempt));  // not submitting any more

  auto seen = heir;
  seen.cluster_state = "RUNNING";
  seen.cluster_reason = "None";
  seen.nodes = "n[1-2]";
  store_.note_sighting(seen);
  auto ended = tests::event_of(EventKind::attempt_ended, "NODE_FAIL");
  ended.again = true;
  ended.time_s = 1009;
  EXPECT_TRUE(store_.append_event(id, JobState::pending, ended));

  const auto read = store_.newest_attempt(id);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->token, attempt.token);
  EXPECT_EQ(read->cluster_name, attempt.cluster_name);
  EXPECT_EQ(read->cluster_id, "48213");
  EXPECT_EQ(read->owner_pid, 4712);
  EXPECT_EQ(read->tries, 2);
  EXPECT_EQ(read->last_try_unix_s, 1002);
  EXPECT_EQ(read->submitted_unix_s, 1003);
  EXPECT_EQ(read->ended_unix_s, 1009);
  EXPECT_EQ(read->cluster_state, "RUNNING");
  EXPECT_EQ(read->nodes, "n[1-2]");
  EXPECT_EQ(store_.job(id)->state, JobState::queued);
  EXPECT_EQ(store_.job(id)->reason, "NODE_FAIL");
  EXPECT_TRUE(store_.begin_attempt(tests::attempt_of(id, 2)));
  EXPECT_EQ(store_.attempts(id).size(), 2u);
  EXPECT_TRUE(tests::events_tell_every_state(store_));
}

TEST_F(StoreTest, TheReasonSaysWhyTheJobIsInItsState) {
  const auto id = tests::add_job(store_);
  ASSERT_TRUE(store_.begin_attempt(tests::attempt_of(id)));
  ASSERT_TRUE(store_.finish_submission(tests::attempt_of(id), "1", 5));
  const auto reason_after = [&](JobState from, const jobs::JobEvent& event) {
    EXPECT_TRUE(store_.append_event(id, from, event));
    return store_.job(id)->reason;
  };
  using tests::event_of;
  EXPECT_EQ(reason_after(JobState::pending, event_of(EventKind::seen_pending, "Priority")),
            "Priority");
  EXPECT_EQ(reason_after(JobState::pending, event_of(EventKind::seen_running)), "");
  EXPECT_EQ(reason_after(JobState::running, event_of(EventKind::attempt_ended, "TIMEOUT")),
            "TIMEOUT");
  EXPECT_EQ(reason_after(JobState::running, event_of(EventKind::note, "worth keeping")), "TIMEOUT");
  EXPECT_EQ(reason_after(JobState::running, event_of(EventKind::failed)), "TIMEOUT");
  EXPECT_EQ(reason_after(JobState::failed, event_of(EventKind::retried)), "");
}

TEST_F(StoreTest, TimesAndTheWishToCancelFollowTheEvents) {
  const auto id = tests::add_job(store_);
  ASSERT_TRUE(store_.begin_attempt(tests::attempt_of(id)));
  ASSERT_TRUE(store_.finish_submission(tests::attempt_of(id), "1", 5));
  auto event = tests::event_of(EventKind::seen_running);
  event.time_s = 10;
  ASSERT_TRUE(store_.append_event(id, JobState::pending, event));
  EXPECT_EQ(store_.job(id)->started_unix_s, 10);
  store_.put_run({.job = id,
                  .run = {1, 0},
                  .cluster_id = "1",
                  .partition_text = "0-5",
                  .started_unix_s = 12,
                  .exit_code = {},
                  .outcome = "",
                  .message = ""});
  EXPECT_EQ(store_.job(id)->started_unix_s, 12) << "by the run's own word";
  ASSERT_TRUE(
      store_.append_event(id, JobState::running, tests::event_of(EventKind::cancel_requested)));
  EXPECT_TRUE(store_.job(id)->cancel_requested);
  event = tests::event_of(EventKind::cancelled);
  event.time_s = 20;
  ASSERT_TRUE(store_.append_event(id, JobState::running, event));
  EXPECT_EQ(store_.job(id)->ended_unix_s, 20);
  ASSERT_TRUE(store_.append_event(id, JobState::cancelled, tests::event_of(EventKind::retried)));
  EXPECT_FALSE(store_.job(id)->cancel_requested);
  EXPECT_EQ(store_.job(id)->ended_unix_s, 0);
}

// A tick that looked before the job came back to the same state by its next attempt.
TEST_F(StoreTest, AnEventOfAnEarlierAttemptIsRefused) {
  const auto id = tests::add_job(store_);
  for (const int number : {1, 2}) {
    const auto attempt = tests::attempt_of(id, number);
    ASSERT_TRUE(store_.begin_attempt(attempt));
    ASSERT_TRUE(store_.finish_submission(attempt, "42", 5));
    if (number == 2) break;
    auto ended = tests::event_of(EventKind::attempt_ended);
    ended.again = true;
    ASSERT_TRUE(store_.append_event(id, JobState::pending, ended));
  }
  auto stale = tests::event_of(EventKind::attempt_ended);
  for (const bool again : {true, false}) {
    stale.again = again;
    EXPECT_FALSE(store_.append_event(id, JobState::pending, stale));
  }
  EXPECT_FALSE(store_.append_event(id, JobState::pending, tests::event_of(EventKind::failed)));
  stale.attempt = 2;
  EXPECT_TRUE(store_.append_event(id, JobState::pending, stale));
}

// Random events thrown at random jobs: whatever applies is recorded, and the log tells the state.
TEST_F(StoreTest, EventsAlwaysTellTheState) {
  std::mt19937 random(20240302);
  std::vector<jobs::JobId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(tests::add_job(store_));
  int applied = 0;
  for (int i = 0; i < 1500; ++i) {
    const auto id = ids[random() % ids.size()];
    auto event = tests::event_of(static_cast<EventKind>(random() % 17), i % 3 ? "" : "why");
    event.again = random() % 2 == 0;
    event.attempt = 0;
    const auto state = store_.job(id)->state;
    const bool applies = jobs::next(state, event).has_value();
    EXPECT_EQ(store_.append_event(id, state, event), applies);
    applied += applies;
  }
  EXPECT_GT(applied, 300);
  EXPECT_TRUE(tests::events_tell_every_state(store_));
}

TEST_F(StoreTest, RunsAndMetricsAreReadAsWritten) {
  const auto id = tests::add_job(store_);
  db::Run run{.job = id,
              .run = {2, 1},
              .cluster_id = "7",
              .partition_text = "0-18 | 19-29 + head",
              .started_unix_s = 1.5,
              .exit_code = {},
              .outcome = "",
              .message = ""};
  store_.put_run(run);
  EXPECT_FALSE(store_.runs(id).at(0).exit_code);
  run.exit_code = 75;
  run.outcome = "stopped";
  run.message = "a \"message\"\n";
  store_.put_run(run);
  ASSERT_EQ(store_.runs(id).size(), 1u);
  EXPECT_EQ(store_.runs(id)[0].exit_code, 75);
  EXPECT_EQ(store_.runs(id)[0].message, run.message);
  EXPECT_EQ(store_.runs(id)[0].run, run.run);

  jobs::RunMetrics metrics;
  metrics.run = {2, 1};
  metrics.wall_clock_s = 16.34;
  metrics.output_tokens = 252;
  metrics.tpot_s = {.p50 = 0.1, .p90 = 0.2, .p99 = std::numeric_limits<double>::quiet_NaN()};
  store_.put_run_metrics(id, metrics);
  store_.put_run_metrics(id, metrics);
  const auto read = store_.run_metrics(id, {2, 1});
  ASSERT_TRUE(read);
  EXPECT_EQ(to_json(*read), to_json(metrics));
  EXPECT_TRUE(std::isnan(read->tpot_s.p99));
  EXPECT_FALSE(store_.run_metrics(id, {2, 2}));

  jobs::StageMetrics last, first;
  last.rank = last.stage = 1;
  last.has_head = true;
  last.host = "n2";
  last.kv_bytes = std::int64_t{1} << 40;
  first.cores = "3";
  first.device_copy_s = 0.5;
  store_.put_stage_metrics(id, {2, 1}, last);
  store_.put_stage_metrics(id, {2, 1}, first);
  const auto stages = store_.stage_metrics(id, {2, 1});
  ASSERT_EQ(stages.size(), 2u);
  EXPECT_EQ(to_json(stages[0]), to_json(first));
  EXPECT_EQ(to_json(stages[1]), to_json(last));
}

TEST_F(StoreTest, KnowsTheNodesOfAPartitionByTheNewestJobThere) {
  jobs::StageMetrics stage;
  const auto ran_on = [&](const char* partition, const char* cpu) {
    auto spec = tests::small_spec();
    spec.cluster.partition = partition;
    const auto id = store_.create_job(spec, [](jobs::JobId job) { return std::to_string(job); });
    stage.cpu = cpu;
    store_.put_stage_metrics(id, {1, 0}, stage);
    return spec;
  };
  const auto old = ran_on("big", "first"), other = ran_on("", "second");
  EXPECT_EQ(store_.node_cpu(old), "first");
  EXPECT_EQ(store_.node_cpu(other), "second");
  EXPECT_EQ(store_.node_cpu(ran_on("big", "third")), "third");
  auto elsewhere = other;
  elsewhere.executor = "slurm";
  EXPECT_EQ(store_.node_cpu(elsewhere), "");
}

// Of two ticks at once the slower one looked before the run ended.
TEST_F(StoreTest, AStaleLookTakesNothingOfARunBack) {
  const auto id = tests::add_job(store_);
  ASSERT_TRUE(store_.begin_attempt(tests::attempt_of(id)));
  ASSERT_TRUE(store_.finish_submission(tests::attempt_of(id), "7", 5));
  const Store::RunNews news{.started = tests::event_of(EventKind::run_started),
                            .ended = tests::event_of(EventKind::run_ended)};
  db::Run early{.job = id,
                .run = {1, 0},
                .cluster_id = "7",
                .partition_text = "0-5",
                .started_unix_s = 8,
                .exit_code = {},
                .outcome = {},
                .message = {}};
  db::Run late = early;
  late.ended_unix_s = 9;
  late.exit_code = 0;
  late.outcome = "completed";
  late.message = "all";
  EXPECT_TRUE(store_.put_run(early, news));
  EXPECT_EQ(store_.job(id)->state, JobState::running);
  EXPECT_TRUE(store_.put_run(late, news));
  for (const db::Run& again : {early, late}) EXPECT_FALSE(store_.put_run(again, news));
  const db::Run run = store_.runs(id).at(0);
  EXPECT_EQ(run.ended_unix_s, 9);
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.outcome + " " + run.message, "completed all");
  const auto ended = tests::event_of(EventKind::attempt_ended);
  EXPECT_TRUE(store_.append_event(id, JobState::running, ended));
  EXPECT_FALSE(store_.append_event(id, JobState::running, ended)) << "an attempt ends once";
  EXPECT_EQ(store_.events(id).size(), 6u) << "created, intended, submitted, and one of each";
  auto again = ended;
  again.again = true;
  EXPECT_TRUE(store_.append_event(id, JobState::running, again)) << "after a crash before `failed`";
}

TEST_F(StoreTest, ForeignKeysHold) { EXPECT_THROW(store_.put_run_metrics(99, {}), Error); }

}  // namespace
}  // namespace sluice::db
