// Oracle: counts in the database against result files, which nothing changes. Processes are really
// killed, with SIGKILL, at each step of `sluice retry --failed-only`.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include <functional>

#include "jobs/set_aside.h"
#include "scheduler/ingest.h"
#include "slurm/command.h"
#include "tests/scheduler/site.h"

namespace sluice::scheduler {
namespace {

using jobs::EventKind;
using jobs::JobState;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kPrompts = 5, kUnlucky = 2;

void in_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
}

// A completed job of which two prompts failed, for a reason that is gone.
class RetryFailed : public testing::Test {
 protected:
  RetryFailed() {
    ::setenv("FAKE_FAIL_BELOW", std::to_string(kUnlucky).c_str(), 1);
    site_.prompts(kPrompts);
    id_ = site_.queue();
    EXPECT_TRUE(site_.ends(id_));
    EXPECT_EQ(site_.job(id_).prompts_failed, kUnlucky);
    first_ = jobs::read_file(results(1));
  }
  std::filesystem::path results(int attempt) const {
    return site_.layout(id_).results({.attempt = attempt, .restart = 0}, 0);
  }
  slurm::CommandResult retry(std::vector<std::string> more = {"--failed-only"}) {
    more.insert(more.begin(), {SLUICE_PROGRAM, "retry", std::to_string(id_)});
    return slurm::run_command(
        more, {.timeout_s = tests::kDeadline_s,
               .env = {"SLUICE_DB=" + (site_.dir / "sluice.db").string(), "SLUICE_EXECUTOR=local",
                       "XDG_CONFIG_HOME=" + site_.dir.path().string()}});
  }
  // What the command does first.
  void set_aside_and_record(const std::function<void()>& then) {
    site_.open().append_event(id_, JobState::completed,
                              {.kind = EventKind::retried, .attempt = 1, .reason = {}}, [&] {
                                jobs::SetAside(site_.layout(id_).set_aside()).add(2);
                                then();
                              });
  }
  void expect_failed_ones_done_again() {
    ASSERT_TRUE(site_.ends(id_));
    const auto job = site_.job(id_);
    EXPECT_EQ(job.state, JobState::completed) << job.reason;
    EXPECT_EQ(job.reason, "");
    EXPECT_EQ(job.prompts_ok, kPrompts);
    EXPECT_EQ(job.prompts_failed, 0);
    EXPECT_THAT(site_.starts(id_), ElementsAre("1.0", "2.0"));
    EXPECT_EQ(jobs::read_file(results(1)), first_);
    EXPECT_EQ(tests::lines_of(results(2)).size(), std::size_t{kUnlucky});
    EXPECT_EQ(tests::count_events(site_, id_, EventKind::result_conflict), 0);
    tests::expect_whole_life(site_, id_);
    // A database that reads every file anew comes to the same.
    auto store = site_.open();
    store.forget_ingested(id_);
    ingest_results(store, id_, site_.layout(id_));
    EXPECT_EQ(store.job(id_)->prompts_ok, kPrompts);
    EXPECT_EQ(store.job(id_)->prompts_failed, 0);
  }

  tests::LocalSite site_;
  jobs::JobId id_ = 0;
  std::string first_;
};

TEST_F(RetryFailed, RunsThoseAndNoOthers) {
  const auto retried = retry();
  EXPECT_EQ(retried.exit_code, 0) << retried.err;
  EXPECT_THAT(retried.out, HasSubstr("attempt 2 does the remaining 2 of 5 prompts"));
  expect_failed_ones_done_again();
  EXPECT_EQ(retry().exit_code, 2);
  EXPECT_THAT(retry().err, HasSubstr("no prompt failed"));
}

TEST_F(RetryFailed, KilledBeforeItIsRecordedChangesNothing) {
  in_child([&] { set_aside_and_record([] { ::raise(SIGKILL); }); });
  EXPECT_TRUE(std::filesystem::exists(site_.layout(id_).set_aside()));
  auto store = site_.open();
  store.forget_ingested(id_);
  ingest_results(store, id_, site_.layout(id_));
  const auto job = site_.job(id_);
  EXPECT_EQ(job.state, JobState::completed);
  EXPECT_EQ(job.prompts_failed, kUnlucky);
  EXPECT_EQ(job.prompts_ok, kPrompts - kUnlucky);
  EXPECT_EQ(retry().exit_code, 0);
  expect_failed_ones_done_again();
}

TEST_F(RetryFailed, KilledOnceItIsRecordedGoesOnWithTheNextTick) {
  in_child([&] {
    set_aside_and_record([] {});
    ::raise(SIGKILL);
  });
  EXPECT_EQ(site_.job(id_).state, JobState::queued);
  expect_failed_ones_done_again();
}

TEST_F(RetryFailed, WhatWasNotRunAgainHasNoOutcomeAndPlainRetryDoesIt) {
  site_.hold();
  EXPECT_EQ(retry().exit_code, 0);
  ASSERT_TRUE(site_.ticks_until(
      id_, [](const db::Job& job) { return job.prompts_ok == kPrompts - kUnlucky + 1; }));
  EXPECT_EQ(site_.job(id_).prompts_failed, 0) << "errors are not outcomes while they are redone";
  ASSERT_TRUE(site_.open().append_event(id_, site_.job(id_).state,
                                        {.kind = EventKind::cancel_requested, .reason = {}}));
  ASSERT_TRUE(site_.ends(id_));
  EXPECT_EQ(site_.job(id_).state, JobState::cancelled);
  EXPECT_THAT(retry().err, HasSubstr("has prompts without an answer: sluice retry 1 runs those"));
  site_.release();
  EXPECT_EQ(retry({}).exit_code, 0);
  ASSERT_TRUE(site_.ends(id_));
  EXPECT_EQ(site_.job(id_).prompts_ok, kPrompts);
  EXPECT_EQ(tests::lines_of(results(2)).size() + tests::lines_of(results(3)).size(),
            std::size_t{kUnlucky});
}

TEST_F(RetryFailed, PlainRetryOfACompletedJobNamesIt) {
  const auto refused = retry({});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("sluice retry 1 --failed-only runs the failed ones again"));
}

}  // namespace
}  // namespace sluice::scheduler
