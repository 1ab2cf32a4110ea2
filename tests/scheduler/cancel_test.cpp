// Oracle: what reaches the executor and what lies in the job directory then; the cluster's answers
// are prepared.
#include <gmock/gmock.h>

#include "db/error.h"
#include "scheduler/cancel_request.h"
#include "tests/scheduler/site.h"

namespace sluice::scheduler {
namespace {

using jobs::EventKind;
using jobs::JobState;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class CancelTest : public testing::Test, public Executor {
 protected:
  CancelTest() : store_(site_.open()), id_(site_.queue()), layout_(site_.layout(id_)) {
    run_attempt(1);
    record({.kind = EventKind::cancel_requested, .attempt = 1, .reason = {}});
    sighting_.kind = Sighting::Kind::seen;
    sighting_.status.id = "42";
    sighting_.status.phase = slurm::Phase::running;
  }

  void run_attempt(int number) {
    db::Attempt attempt;
    attempt.job = id_;
    attempt.attempt = number;
    attempt.token = number == 1 ? kToken : jobs::new_token();
    ASSERT_TRUE(store_.begin_attempt(attempt));
    ASSERT_TRUE(store_.finish_submission(attempt, "42", jobs::unix_time_s()));
    record({.kind = EventKind::seen_running, .attempt = number, .reason = {}});
  }

  void record(const jobs::JobEvent& event) {
    ASSERT_TRUE(store_.append_event(id_, store_.job(id_)->state, event));
  }

  Site site() {
    return {.store = store_, .executor = [this](const auto&) -> Executor& { return *this; }};
  }

  slurm::SubmitAnswer submit(const jobs::JobSpec&, const Watch&) override { return {}; }
  std::vector<Sighting> observe(const std::vector<Watch>& watches) override {
    if (meanwhile_) std::exchange(meanwhile_, nullptr)();
    return std::vector<Sighting>(watches.size(), sighting_);
  }
  std::optional<std::string> cancel(const Watch& watch) override {
    EXPECT_EQ(is_cancel_requested(layout_), writable_)
        << "a supervisor looks for it when the signal comes";
    asked_.push_back(watch.attempt.cluster_id);
    if (while_cancelling_) while_cancelling_();
    if (database_fails_) throw db::Error("disk I/O error");
    return why_not_;
  }

  static constexpr const char* kToken = "0123456789abcdef";
  tests::LocalSite site_;
  db::Store store_;
  jobs::JobId id_;
  jobs::Layout layout_;
  Sighting sighting_;
  std::optional<std::string> why_not_;
  bool database_fails_ = false;
  std::function<void()> meanwhile_;  // done by another process while the cluster is asked
  std::function<void()> while_cancelling_;
  bool writable_ = true;  // the job directory
  std::vector<std::string> asked_;
};

TEST_F(CancelTest, ReachesEveryIdThatTheAttemptIsKnownBy) {
  std::filesystem::create_directories(layout_.claims_dir());
  jobs::write_file_whole(layout_.claim(1, kToken), "43 0\n");
  sighting_.status.id = "43";
  tick(site());
  EXPECT_THAT(asked_, UnorderedElementsAre("42", "43"));
}

TEST_F(CancelTest, IsAskedAgainAtOnceWhereItWasNotHeard) {
  why_not_ = "Unable to contact slurm controller";
  tick(site());
  EXPECT_EQ(cancel_asked_unix_s(layout_), 0);
  why_not_.reset();
  tick(site());
  EXPECT_GT(cancel_asked_unix_s(layout_), 0);
  tick(site());
  EXPECT_EQ(asked_.size(), 2u) << "and then not for a while";
}

TEST_F(CancelTest, AJobThatMovedOnMeanwhileIsLeftToTheNextTick) {
  meanwhile_ = [this] {
    record({.kind = EventKind::attempt_ended, .attempt = 1, .again = true, .reason = {}});
    run_attempt(2);
  };
  EXPECT_THAT(tick(site()).done, IsEmpty());
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(CancelTest, ADatabaseThatFailsIsNoTroubleOfOneJob) {
  database_fails_ = true;
  EXPECT_THROW(tick(site()), db::Error);
}

TEST_F(CancelTest, ThatWasPlannedForAnEarlierLifeIsLeftUndone) {
  Report report;
  const auto seen = scheduler::observe(site(), {}, report);
  const Action ask{.job = id_, .what = AskCancel{}};
  record({.kind = EventKind::cancelled, .attempt = 1, .reason = {}});
  EXPECT_FALSE(apply(site(), seen.at(0), ask, report)) << "it has ended";
  record({.kind = EventKind::retried, .attempt = 1, .reason = {}});
  run_attempt(2);
  EXPECT_FALSE(apply(site(), seen.at(0), ask, report)) << "nobody wants the end of attempt 2";
  record({.kind = EventKind::cancel_requested, .attempt = 2, .reason = {}});
  EXPECT_FALSE(apply(site(), seen.at(0), ask, report)) << "it is another tick's to ask";
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_FALSE(is_cancel_requested(layout_));
}

// scancel may hang for half a minute, in which another tick sees the end and the user retries.
TEST_F(CancelTest, ThatTookItsTimeDoesNotStopTheNextAttempt) {
  while_cancelling_ = [this] { withdraw_cancel_request(layout_); };
  tick(site());
  EXPECT_THAT(asked_, UnorderedElementsAre("42"));
  EXPECT_FALSE(is_cancel_requested(layout_));
}

// Root may write into every folder: one that is gone takes no file from anybody.
TEST_F(CancelTest, ReachesTheClusterWhereTheFolderTakesNoFile) {
  std::filesystem::remove_all(layout_.dir());
  writable_ = false;
  EXPECT_THAT(tick(site()).warnings, testing::SizeIs(1));
  EXPECT_THAT(asked_, UnorderedElementsAre("42"));
}

TEST_F(CancelTest, ReachesAJobWhoseFolderCannotBeRead) {
  std::filesystem::remove_all(layout_.results_dir());
  jobs::write_file_whole(layout_.results_dir(), "no folder");
  EXPECT_THAT(tick(site()).warnings, testing::SizeIs(1));
  EXPECT_THAT(asked_, UnorderedElementsAre("42"));
  sighting_.status.phase = slurm::Phase::cancelled;
  sighting_.status.end_unix_s = 1;
  tick(site());
  EXPECT_EQ(store_.job(id_)->state, jobs::JobState::cancelled);
}

}  // namespace
}  // namespace sluice::scheduler
