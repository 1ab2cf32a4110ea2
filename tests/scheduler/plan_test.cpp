// Oracle: the rules of docs/data-model.md and of the design's life of a job, written out as
// situations and the whole list of what follows from each: an action too many fails as well.
#include "scheduler/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::scheduler {
namespace {

using jobs::JobState;
using slurm::Phase;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr double kNow = 100'000;
const Limits kLimits{
    .submit_grace_s = 30, .owner_s = 60, .exit_record_grace_s = 20, .cancel_repeat_s = 15};

slurm::JobStatus status(const std::string& state, Phase phase) {
  slurm::JobStatus status;
  status.id = "42";
  status.state = state;
  status.phase = phase;
  status.end_unix_s = kNow - 1000;
  return status;
}

// A job with 10 prompts on Slurm, in its first attempt, submitted long ago.
struct Situation : JobSeen {
  explicit Situation(JobState state) {
    job.id = 7;
    job.state = state;
    job.executor = "slurm";
    job.attempt = state == JobState::queued ? 0 : 1;
    job.prompts_total = 10;
    if (state == JobState::queued) return;
    attempt.emplace();
    attempt->attempt = 1;
    attempt->token = "0123456789abcdef";
    attempt->intended_unix_s = attempt->last_try_unix_s = kNow - 1000;
    if (state != JobState::submitting) attempt->cluster_id = "42";
    runs_used = 1;
    log = "LOG";
  }
  // The cluster's word, as already noted in the database.
  Situation& cluster(const std::string& state, Phase phase, const std::string& exit_code = "",
                     const std::string& reason = "") {
    sighting.kind = Sighting::Kind::seen;
    sighting.status = status(state, phase);
    sighting.status.exit_code = exit_code;
    sighting.status.reason = attempt->cluster_reason = reason;
    attempt->cluster_state = state;
    return *this;
  }
  Situation& absent() {
    sighting.kind = Sighting::Kind::absent;
    return *this;
  }
  Situation& unreachable() {
    sighting.kind = Sighting::Kind::unknown;
    return *this;
  }
  Situation& last_try(double seconds_ago) {
    attempt->last_try_unix_s = kNow - seconds_ago;
    return *this;
  }
  Situation& owned(Owner who) {
    owner = who;
    return *this;
  }
  Situation& claimed(const std::string& id) {
    claim = Claim{.cluster_id = id, .restart = 0};
    return *this;
  }
  // A run that the database knows as far as it went before.
  Situation& run(const std::string& outcome = "", const std::string& message = "") {
    RunSeen seen;
    seen.run = {.attempt = 1, .restart = static_cast<int>(runs.size())};
    seen.started.emplace();
    seen.start_recorded = true;
    if (!outcome.empty()) {
      seen.exit.emplace();
      seen.exit->outcome = outcome;
      seen.exit->message = message;
      seen.end_recorded = true;
    }
    runs.push_back(std::move(seen));
    return *this;
  }
  Situation& answers(std::int64_t ok, std::int64_t failed = 0) {
    job.prompts_ok = ok;
    job.prompts_failed = failed;
    answered = ok + failed > 0;
    return *this;
  }
  Situation& cancel_requested(double asked_seconds_ago = 1e6) {
    job.cancel_requested = true;
    cancel_asked_unix_s = kNow - asked_seconds_ago;
    return *this;
  }
};

std::vector<std::string> planned(const JobSeen& seen) {
  std::vector<std::string> lines;
  for (const Action& action : plan(seen, kLimits, kNow)) lines.push_back(describe(action));
  return lines;
}

TEST(PlanQueued, BeginsTheNextAttempt) {
  Situation fresh(JobState::queued);
  EXPECT_THAT(planned(fresh), ElementsAre("begin attempt 1"));
  fresh.job.attempt = 3;
  EXPECT_THAT(planned(fresh), ElementsAre("begin attempt 4"));
}

TEST(PlanQueued, ACancelNeedsNoCluster) {
  EXPECT_THAT(planned(Situation(JobState::queued).cancel_requested()),
              ElementsAre("queued: cancelled"));
}

TEST(PlanSubmitting, BelongsToItsOwnerForAMinute) {
  using Owner = JobSeen::Owner;
  for (const auto owner : {Owner::here, Owner::elsewhere}) {
    auto seen = Situation(JobState::submitting).owned(owner).absent();
    EXPECT_THAT(planned(seen.last_try(59)), IsEmpty());
    EXPECT_THAT(planned(seen.last_try(61)), ElementsAre("submit again"));
  }
}

TEST(PlanSubmitting, AnOrphanIsFoundByItsClaimOrItsName) {
  EXPECT_THAT(planned(Situation(JobState::submitting).last_try(1).absent().claimed("43")),
              ElementsAre("finish submission as 43"));
  const auto seen = Situation(JobState::submitting).last_try(1).cluster("PENDING", Phase::pending);
  EXPECT_THAT(planned(seen), ElementsAre("finish submission as 42"));
}

TEST(PlanSubmitting, TheClaimHolderIsTheOneThatCounts) {
  const auto seen =
      Situation(JobState::submitting).cluster("COMPLETED", Phase::succeeded).claimed("43");
  EXPECT_EQ(planned(seen).at(0), "finish submission as 43");
}

TEST(PlanSubmitting, IsSubmittedAgainOnlyWhenNowhereForTheGrace) {
  auto orphan = Situation(JobState::submitting).absent();
  EXPECT_THAT(planned(orphan.last_try(29)), IsEmpty());
  EXPECT_THAT(planned(orphan.last_try(31)), ElementsAre("submit again"));
  EXPECT_THAT(planned(Situation(JobState::submitting).unreachable()), IsEmpty());
}

// Submitted while the clock was a year ahead.
TEST(PlanSubmitting, AClockThatWasAheadHoldsNothingUp) {
  EXPECT_THAT(planned(Situation(JobState::submitting).absent().last_try(-3e7)),
              ElementsAre("submit again"));
  EXPECT_THAT(planned(Situation(JobState::submitting).absent().last_try(-20)), IsEmpty())
      << "another machine's clock";
}

TEST(PlanSubmitting, ACancelledOneThatNeverArrivedIsNotSubmittedAgain) {
  EXPECT_THAT(planned(Situation(JobState::submitting).absent().cancel_requested()),
              ElementsAre("submitting: cancelled"));
}

TEST(PlanPending, FollowsTheClusterAndNothingElse) {
  EXPECT_THAT(planned(Situation(JobState::pending).cluster("PENDING", Phase::pending)), IsEmpty());
  EXPECT_THAT(planned(Situation(JobState::pending).cluster("RUNNING", Phase::running)),
              ElementsAre("pending: seen_running"));
  auto news = Situation(JobState::pending).cluster("PENDING", Phase::pending, "", "Priority");
  news.attempt->cluster_reason = "None";
  EXPECT_THAT(planned(news), ElementsAre("note PENDING Priority"));
}

TEST(PlanPending, AnUnknownStateWordIsShownAndNeverAnEnd) {
  auto seen = Situation(JobState::running).cluster("FROBNICATING", Phase::unknown);
  seen.attempt->cluster_state = "RUNNING";
  EXPECT_THAT(planned(seen), ElementsAre("note FROBNICATING"));
}

TEST(PlanPending, AnUnreachableClusterChangesNothing) {
  EXPECT_THAT(planned(Situation(JobState::pending).unreachable()), IsEmpty());
  EXPECT_THAT(planned(Situation(JobState::running).unreachable().run().answers(3)), IsEmpty());
}

TEST(PlanPending, ForgottenBeforeItRanIsSubmittedAgain) {
  auto lost = Situation(JobState::pending).absent();
  EXPECT_THAT(planned(lost.last_try(29)), IsEmpty());
  EXPECT_THAT(planned(lost.last_try(31)),
              ElementsAre("pending: lost (accepted as 42, then forgotten by the cluster before it "
                          "ran)",
                          "submit again"));
}

TEST(PlanRunning, ARequeueByTheClusterIsTheSameAttempt) {
  EXPECT_THAT(
      planned(Situation(JobState::running).cluster("PENDING", Phase::pending).run("stopped")),
      ElementsAre("running: seen_pending (requeued (PENDING))"));
}

TEST(PlanRunning, RecordsARunOnceWhenItStartsAndOnceWhenItEnds) {
  auto seen = Situation(JobState::pending).cluster("PENDING", Phase::pending).run();
  seen.runs[0].start_recorded = false;
  EXPECT_THAT(planned(seen), ElementsAre("record run 1.0, started"));
  auto ended =
      Situation(JobState::running).cluster("RUNNING", Phase::running).run("stopped", "why");
  ended.runs[0].end_recorded = false;
  EXPECT_THAT(planned(ended), ElementsAre("record run 1.0, ended (stopped: why)"));
  EXPECT_EQ(say_end("stopped", "stopped early"), "stopped early");
}

TEST(PlanCompleted, NeedsTheExitRecordAndEveryAnswer) {
  for (const auto& word : {"RUNNING", "COMPLETING"}) {
    auto seen = Situation(JobState::running).cluster(word, Phase::running).run("completed");
    EXPECT_THAT(planned(seen.answers(9)), IsEmpty()) << "one answer is missing";
    EXPECT_THAT(planned(seen.answers(8, 2)), ElementsAre("running: completed (2 prompts failed)"));
    EXPECT_THAT(planned(seen.answers(9, 1)), ElementsAre("running: completed (1 prompt failed)"));
  }
  EXPECT_THAT(planned(Situation(JobState::running).unreachable().run("completed").answers(10)),
              ElementsAre("running: completed"))
      << "the job's own word needs no cluster";
}

TEST(PlanCompleted, TheClustersWordAloneProvesNothing) {
  auto seen = Situation(JobState::running).cluster("COMPLETED", Phase::succeeded).run().answers(10);
  seen.sighting.status.end_unix_s = kNow - 19;
  EXPECT_THAT(planned(seen), IsEmpty()) << "a shared file system may still show the exit record";
  seen.sighting.status.end_unix_s = kNow - 21;
  EXPECT_THAT(planned(seen),
              ElementsAre("running: attempt_ended again (COMPLETED, but the worker left no exit "
                          "record; see LOG)"))
      << "so ends mpirun after a power loss";
  EXPECT_THAT(
      planned(seen.answers(0)),
      ElementsAre("running: attempt_ended (COMPLETED, but the worker left no exit record; "
                  "see LOG)",
                  "running: failed (COMPLETED, but the worker left no exit record; see LOG)"));
}

TEST(PlanCompleted, AnEndWithoutATimeHasNotSettled) {
  auto seen = Situation(JobState::running).cluster("COMPLETED", Phase::succeeded).run().answers(3);
  seen.sighting.status.end_unix_s = 0;
  EXPECT_THAT(planned(seen), IsEmpty());
}

// What comes after a final state would be looked at by nobody.
TEST(PlanAnswers, AreWaitedForWhereTheExitRecordCountsThem) {
  for (const bool cancel : {false, true}) {
    for (const std::string outcome : {"stopped", "failed"}) {
      auto seen = Situation(JobState::running).cluster("FAILED", Phase::failed, "1:0").run(outcome);
      seen.job.cancel_requested = cancel;
      seen.cancel_asked_unix_s = kNow;
      seen.runs[0].exit->prompts_done = 5;
      seen.sighting.status.end_unix_s = kNow - 19;
      EXPECT_THAT(planned(seen.answers(4)), IsEmpty());
      EXPECT_THAT(planned(seen.answers(4, 1)), Not(IsEmpty()));
      seen.sighting.status.end_unix_s = kNow - 21;
      EXPECT_THAT(planned(seen.answers(4)), Not(IsEmpty())) << "not for ever";
      seen.absent().runs[0].exit->ended_unix_s = kNow - 19;
      EXPECT_THAT(planned(seen), IsEmpty()) << "forgotten by the cluster";
    }
  }
}

TEST(PlanCompleted, AnOlderRunsExitRecordDoesNotCount) {
  const auto seen = Situation(JobState::running)
                        .cluster("RUNNING", Phase::running)
                        .run("completed")
                        .run()
                        .answers(10);
  EXPECT_THAT(planned(seen), IsEmpty());
}

struct EndCase {
  std::string state, exit_code, outcome;
  bool again;
  std::string why;
};

// Names the case in the list of tests.
void PrintTo(const EndCase& one, std::ostream* out) {
  *out << one.state << " " << one.exit_code << " " << one.outcome;
}

class PlanEnd : public testing::TestWithParam<EndCase> {};

TEST_P(PlanEnd, IsTakenUpAgainOrFailsWithItsReason) {
  const auto& [state, exit_code, outcome, again, why] = GetParam();
  const auto seen = Situation(JobState::running)
                        .cluster(state, Phase::failed, exit_code)
                        .run(outcome, outcome.empty() ? "" : "the worker's words")
                        .answers(3);
  if (again) {
    EXPECT_THAT(planned(seen), ElementsAre("running: attempt_ended again (" + why + ")"));
  } else {
    EXPECT_THAT(planned(seen), ElementsAre("running: attempt_ended (" + why + ")",
                                           "running: failed (" + why + ")"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Words, PlanEnd,
    testing::Values(
        EndCase{"FAILED", "75:0", "stopped", true, "the worker's words"},
        EndCase{"FAILED", "75:0", "", true, "FAILED: exit code 75; see LOG"},
        EndCase{"TIMEOUT", "0:0", "", true, "TIMEOUT: the time limit was reached; see LOG"},
        EndCase{"TIMEOUT", "0:0", "stopped", true, "TIMEOUT: the time limit was reached; see LOG"},
        EndCase{"NODE_FAIL", "0:0", "", true, "NODE_FAIL; see LOG"},
        EndCase{"PREEMPTED", "0:0", "", true, "PREEMPTED; see LOG"},
        EndCase{"BOOT_FAIL", "0:0", "", true, "BOOT_FAIL; see LOG"},
        EndCase{"NODE_FAIL", "1:0", "failed", true, "NODE_FAIL: exit code 1; see LOG"},
        EndCase{"TIMEOUT", "1:0", "failed", true, "TIMEOUT: the time limit was reached; see LOG"},
        EndCase{"FAILED", "1:0", "failed", false, "the worker's words"},
        EndCase{"FAILED", "137:0", "", false,
                "FAILED: a rank, or the script itself, was killed (signal 9); see LOG"},
        EndCase{"FAILED", "132:0", "", false, "FAILED: exit code 132; see LOG"},
        EndCase{"FAILED", "0:9", "", false,
                "FAILED: a rank, or the script itself, was killed (signal 9); see LOG"},
        EndCase{"FAILED", "3:0", "", false, "FAILED: exit code 3; see LOG"},
        EndCase{"OUT_OF_MEMORY", "0:125", "", false,
                "OUT_OF_MEMORY: a rank needed more memory than the job was given (--mem); see "
                "LOG"}));

TEST(PlanAgain, NeedsANewAnswer) {
  const auto seen = Situation(JobState::running).cluster("TIMEOUT", Phase::failed).run();
  EXPECT_EQ(planned(seen).at(1), "running: failed (TIMEOUT: the time limit was reached; see LOG)");
}

TEST(PlanAgain, WhatIsNotToBlameNeedsNoAnswer) {
  for (const std::string word : {"NODE_FAIL", "PREEMPTED", "BOOT_FAIL"}) {
    EXPECT_THAT(planned(Situation(JobState::running).cluster(word, Phase::failed)),
                ElementsAre("running: attempt_ended again (" + word + "; see LOG)"));
  }
  EXPECT_THAT(planned(Situation(JobState::running).absent().claimed("42").run()),
              ElementsAre("running: attempt_ended again (the cluster no longer knows 42; see "
                          "LOG)"));
}

TEST(PlanAgain, ABadJobIsNotMadeGoodByADeadNode) {
  auto seen =
      Situation(JobState::running).cluster("NODE_FAIL", Phase::failed).run("failed", "bad model");
  seen.runs[0].exit->exit_code = 2;
  EXPECT_EQ(planned(seen).at(1), "running: failed (bad model)");
}

TEST(PlanAgain, StopsAtMaxAttempts) {
  auto seen = Situation(JobState::running).cluster("NODE_FAIL", Phase::failed).run().answers(3);
  seen.runs_used = seen.job.max_attempts - 1;
  EXPECT_EQ(planned(seen).size(), 1u);
  seen.runs_used = seen.job.max_attempts;
  EXPECT_EQ(planned(seen).at(1), "running: failed (NODE_FAIL; see LOG (after 3 runs))");
}

TEST(PlanAgain, ARunThatTheClusterForgotIsTakenUpAgain) {
  const auto seen = Situation(JobState::running).absent().claimed("42").run().answers(3);
  EXPECT_THAT(planned(seen), ElementsAre("running: attempt_ended again (the cluster no longer "
                                         "knows 42; see LOG)"));
}

TEST(PlanAgain, AForgottenRunWhoseFilesChangeIsWaitedFor) {
  auto seen = Situation(JobState::running).absent().claimed("42").run().answers(3);
  seen.last_sign_unix_s = kNow - 19;
  EXPECT_THAT(planned(seen), IsEmpty());
  seen.last_sign_unix_s = kNow - 21;
  EXPECT_THAT(planned(seen), ElementsAre("running: attempt_ended again (the cluster no longer "
                                         "knows 42; see LOG)"));
}

TEST(PlanSubmitting, GivesUpAfterManyTriesWithTheLastWords) {
  auto orphan = Situation(JobState::submitting).absent();
  orphan.attempt->tries = kLimits.submissions_max - 1;
  EXPECT_THAT(planned(orphan), ElementsAre("submit again"));
  orphan.attempt->tries = kLimits.submissions_max;
  orphan.attempt->cluster_reason = "Socket timed out";
  const std::string why = "(submitted 5 times, and the cluster knows of none: Socket timed out)";
  EXPECT_THAT(planned(orphan), ElementsAre("submitting: failed " + why));
  auto lost = Situation(JobState::pending).absent();
  lost.attempt->tries = kLimits.submissions_max;
  lost.attempt->cluster_reason = "Socket timed out";
  EXPECT_THAT(planned(lost),
              ElementsAre("pending: attempt_ended " + why, "pending: failed " + why));
}

TEST(PlanCancel, AsksTheClusterAndAsksAgainAfterAWhile) {
  auto seen = Situation(JobState::running).cluster("RUNNING", Phase::running).run();
  EXPECT_THAT(planned(seen.cancel_requested(14)), IsEmpty());
  EXPECT_THAT(planned(seen.cancel_requested(16)), ElementsAre("ask the cluster to cancel"));
}

TEST(PlanCancel, WinsOverEveryEnd) {
  for (const auto phase : {Phase::cancelled, Phase::failed, Phase::succeeded}) {
    const auto seen = Situation(JobState::running)
                          .cluster("X", phase)
                          .run("stopped")
                          .answers(3)
                          .cancel_requested();
    EXPECT_THAT(planned(seen), ElementsAre("running: attempt_ended", "running: cancelled"));
  }
}

TEST(PlanCancel, LosesToAJobThatIsDone) {
  const auto seen = Situation(JobState::running)
                        .cluster("CANCELLED", Phase::cancelled)
                        .run("completed")
                        .answers(10)
                        .cancel_requested();
  EXPECT_THAT(planned(seen), ElementsAre("running: completed"));
}

TEST(PlanCancel, SomeoneElsesScancelIsACancel) {
  EXPECT_THAT(planned(Situation(JobState::pending).cluster("CANCELLED by 0", Phase::cancelled)),
              ElementsAre("pending: attempt_ended (CANCELLED by 0)",
                          "pending: cancelled (CANCELLED by 0)"));
}

TEST(Plan, AFinalJobIsLeftAlone) {
  for (const auto state : {JobState::completed, JobState::failed, JobState::cancelled}) {
    EXPECT_THAT(planned(Situation(state).cluster("RUNNING", Phase::running)), IsEmpty());
  }
}

TEST(Plan, AFoundSubmissionIsFollowedInTheSameTick) {
  const auto seen = Situation(JobState::submitting)
                        .cluster("RUNNING", Phase::running)
                        .claimed("42")
                        .run("completed")
                        .answers(10);
  EXPECT_THAT(planned(seen), ElementsAre("finish submission as 42", "pending: seen_running",
                                         "running: completed"));
}

}  // namespace
}  // namespace sluice::scheduler
