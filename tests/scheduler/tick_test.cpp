// Oracle: the count of starts that the worker itself keeps, whatever the database says, and the
// replay of each job's events. Processes are really killed, with SIGKILL.
#include "scheduler/tick.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include "scheduler/process.h"
#include "tests/scheduler/site.h"

namespace sluice::scheduler {
namespace {

using jobs::EventKind;
using jobs::JobState;
using testing::ElementsAre;
using testing::HasSubstr;
using tests::count_events;
using tests::LocalSite;

// In a child: does it, and is killed where it says so, or ends.
void in_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
}

// The real executor, with a death of the whole process at a step of a submission.
class DyingExecutor final : public Executor {
 public:
  enum class Step { before_submission, after_submission };
  explicit DyingExecutor(Step step) : step_(step) {}

  slurm::SubmitAnswer submit(const jobs::JobSpec& spec, const Watch& watch) override {
    if (step_ == Step::before_submission) ::raise(SIGKILL);
    auto answer = real_->submit(spec, watch);
    ::raise(SIGKILL);
    return answer;
  }
  std::vector<Sighting> observe(const std::vector<Watch>& watches) override {
    return real_->observe(watches);
  }
  std::optional<std::string> cancel(const Watch& watch) override { return real_->cancel(watch); }

 private:
  Step step_;
  std::unique_ptr<Executor> real_ = make_local_executor(SLUICE_PROGRAM);
};

TEST(Tick, AJobIsQueuedRunAndRecordedWhole) {
  LocalSite site;
  const auto id = site.queue();
  EXPECT_EQ(site.job(id).state, JobState::queued);
  ASSERT_TRUE(site.ends(id));
  const auto job = site.job(id);
  EXPECT_EQ(job.state, JobState::completed) << job.reason;
  EXPECT_EQ(job.prompts_ok, 3);
  EXPECT_THAT(site.starts(id), ElementsAre("1.0"));
  const auto store = site.open();
  std::vector<std::int64_t> order;
  store.each_result(id, [&](const jobs::Result& result) { order.push_back(result.index); });
  EXPECT_THAT(order, ElementsAre(0, 1, 2));
  EXPECT_EQ(store.run_metrics(id, {.attempt = 1, .restart = 0})->prompts_ok, 3);
  EXPECT_EQ(store.stage_metrics(id, {.attempt = 1, .restart = 0}).size(), 1u);
  expect_whole_life(site, id);
}

TEST(Tick, ACompletedJobIsNotTouchedAgain) {
  LocalSite site;
  const auto id = site.queue();
  ASSERT_TRUE(site.ends(id));
  const auto events = site.open().events(id).size();
  EXPECT_TRUE(site.tick().done.empty());
  EXPECT_EQ(site.open().events(id).size(), events);
}

// A crash at each step of a submission; the next tick of another process goes on.
class TickAfterACrash : public testing::TestWithParam<DyingExecutor::Step> {};

TEST_P(TickAfterACrash, ConvergesToExactlyOneRun) {
  LocalSite site;
  const auto id = site.queue();
  in_child([&] {
    DyingExecutor executor(GetParam());
    site.tick(executor);
  });
  EXPECT_EQ(site.job(id).state, JobState::submitting);
  ASSERT_TRUE(site.ends(id));
  EXPECT_EQ(site.job(id).state, JobState::completed) << site.job(id).reason;
  EXPECT_THAT(site.starts(id), ElementsAre("1.0"));
  EXPECT_EQ(count_events(site, id, EventKind::submit_intended), 1);
  EXPECT_EQ(count_events(site, id, EventKind::submitted), 1);
  expect_whole_life(site, id);
}

INSTANTIATE_TEST_SUITE_P(Steps, TickAfterACrash,
                         testing::Values(DyingExecutor::Step::before_submission,
                                         DyingExecutor::Step::after_submission));

TEST(TickAfterACrash, GoesOnWhereOnlyTheIntentIsOnDisk) {
  LocalSite site;
  const auto id = site.queue();
  db::Attempt attempt;
  attempt.job = id;
  attempt.attempt = 1;
  attempt.token = jobs::new_token();
  attempt.cluster_name = jobs::cluster_job_name("x", attempt.token);
  attempt.owner_host = host_name();
  attempt.owner_pid = 1 << 30;  // no such process: beyond the kernel's largest pid
  attempt.intended_unix_s = jobs::unix_time_s();
  ASSERT_TRUE(site.open().begin_attempt(attempt));
  ASSERT_TRUE(site.ends(id));
  EXPECT_EQ(site.job(id).state, JobState::completed) << site.job(id).reason;
  EXPECT_THAT(site.starts(id), ElementsAre("1.0"));
}

TEST(Tick, ManyAtOnceStartEachJobOnce) {
  constexpr int kJobs = 4, kProcesses = 4, kRounds = 3;
  LocalSite site;
  std::vector<jobs::JobId> ids;
  for (int i = 0; i < kJobs; ++i) ids.push_back(site.queue());
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int round = 0; round < kRounds; ++round) site.tick();
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  for (const auto id : ids) {
    ASSERT_TRUE(site.ends(id));
    EXPECT_EQ(site.job(id).state, JobState::completed) << site.job(id).reason;
    EXPECT_THAT(site.starts(id), ElementsAre("1.0"));
    for (const auto kind :
         {EventKind::submit_intended, EventKind::submitted, EventKind::completed}) {
      EXPECT_EQ(count_events(site, id, kind), 1);
    }
    expect_whole_life(site, id);
  }
}

TEST(Tick, AJobThatAsksToBeResumedDoesOnlyTheRest) {
  LocalSite site;
  ::setenv("FAKE_STOP_AFTER", "2", 1);
  const auto id = site.queue();
  ASSERT_TRUE(site.ends(id));
  EXPECT_EQ(site.job(id).state, JobState::completed) << site.job(id).reason;
  EXPECT_THAT(site.starts(id), ElementsAre("1.0", "2.0"));
  const jobs::Layout layout = site.layout(id);
  EXPECT_EQ(tests::lines_of(layout.results({.attempt = 1, .restart = 0}, 0)).size(), 2u);
  EXPECT_EQ(tests::lines_of(layout.results({.attempt = 2, .restart = 0}, 0)).size(), 1u);
  expect_whole_life(site, id);
}

TEST(Tick, AJobThatIsResumedWithoutProgressFails) {
  LocalSite site;
  ::setenv("FAKE_STOP_AFTER", "0", 1);
  const auto id = site.queue();
  ASSERT_TRUE(site.ends(id));
  EXPECT_EQ(site.job(id).state, JobState::failed);
  EXPECT_EQ(site.job(id).reason, "asked to stop");
  EXPECT_THAT(site.starts(id), ElementsAre("1.0"));
}

TEST(Tick, AKilledRankFailsTheJobAndARetryDoesOnlyTheRest) {
  LocalSite site;
  ::setenv("FAKE_DIE_AFTER", "1", 1);
  const auto id = site.queue();
  ASSERT_TRUE(site.ends(id));
  EXPECT_EQ(site.job(id).state, JobState::failed);
  EXPECT_THAT(site.job(id).reason,
              HasSubstr("a rank, or the script itself, was killed (signal 9); see "));
  EXPECT_EQ(site.job(id).prompts_ok, 1) << "what was answered is kept";
  ASSERT_TRUE(
      site.open().append_event(id, JobState::failed, {.kind = EventKind::retried, .reason = {}}));
  ASSERT_TRUE(site.ends(id));
  EXPECT_EQ(site.job(id).state, JobState::completed) << site.job(id).reason;
  EXPECT_EQ(tests::lines_of(site.layout(id).results({.attempt = 2, .restart = 0}, 0)).size(), 2u);
  EXPECT_EQ(count_events(site, id, EventKind::result_conflict), 0);
}

TEST(Tick, ACancelWhileRunningKeepsTheAnswers) {
  LocalSite site;
  site.hold();
  const auto id = site.queue();
  ASSERT_TRUE(site.ticks_until(id, [](const db::Job& job) { return job.prompts_ok == 1; }));
  ASSERT_TRUE(site.open().append_event(id, site.job(id).state,
                                       {.kind = EventKind::cancel_requested, .reason = {}}));
  ASSERT_TRUE(site.ends(id));
  EXPECT_EQ(site.job(id).state, JobState::cancelled);
  EXPECT_EQ(site.job(id).prompts_ok, 1);
  expect_whole_life(site, id);
}

TEST(Tick, AnswersAreCountedAsTheyCome) {
  LocalSite site;
  site.hold();
  const auto id = site.queue();
  ASSERT_TRUE(site.ticks_until(id, [](const db::Job& job) { return job.prompts_ok == 1; }));
  site.release();
  ASSERT_TRUE(site.ends(id));
  EXPECT_EQ(site.job(id).state, JobState::completed);
  EXPECT_EQ(site.job(id).prompts_ok, 3);
}

TEST(Tick, OneJobsErrorDoesNotStopTheOthers) {
  LocalSite site;
  const auto broken = site.queue(), whole = site.queue();
  site.dir.write("in the way", "");
  std::filesystem::remove_all(site.layout(broken).claims_dir());
  std::filesystem::create_symlink(site.dir / "in the way", site.layout(broken).claims_dir());
  const auto report = site.tick();
  EXPECT_THAT(report.warnings.at(0).text, HasSubstr("claims"));
  EXPECT_EQ(report.warnings.at(0).job, broken);
  ASSERT_TRUE(site.ends(whole));
  EXPECT_EQ(site.job(whole).state, JobState::completed);
}

TEST(Tick, AJobWhoseFolderIsGoneOrDamagedIsRefusedWithTheReason) {
  LocalSite site;
  const auto gone = site.queue(), damaged = site.queue();
  std::filesystem::remove_all(site.layout(gone).dir());
  jobs::write_file_whole(site.layout(damaged).spec(), "{\"job\": ");
  site.tick();
  for (const auto id : {gone, damaged}) {
    EXPECT_EQ(site.job(id).state, JobState::failed);
    EXPECT_THAT(site.job(id).reason, HasSubstr("spec.json"));
    expect_whole_life(site, id);
  }
}

// Whatever befell the file since it was read; the answers in it are judged as they are now.
TEST(Tick, AnswersThatWereNotCountedAreReadAgain) {
  LocalSite site;
  site.hold();
  const auto id = site.queue();
  ASSERT_TRUE(site.ticks_until(id, [](const db::Job& job) { return job.prompts_ok == 1; }));
  // As if the file had been longer: what is written from now on lies before that place.
  const auto file = site.layout(id).results({.attempt = 1, .restart = 0}, 0);
  auto store = site.open();
  const auto read = store.ingested_offset(id, file.filename());
  ASSERT_TRUE(store.add_results(
      id, {.file = file.filename(), .offset = read, .end = read + (1 << 20), .results = {}}));
  site.release();
  ASSERT_TRUE(site.ends(id));
  EXPECT_EQ(site.job(id).state, JobState::completed) << site.job(id).reason;
  EXPECT_EQ(site.job(id).prompts_ok, 3);
}

TEST(Tick, BytesThatAreNoAnswerAreNoProgress) {
  LocalSite site;
  ::setenv("FAKE_STOP_AFTER", "0", 1);
  const auto id = site.queue();
  const auto results = site.layout(id).results({.attempt = 1, .restart = 0}, 1);
  std::filesystem::create_directories(results.parent_path());
  jobs::write_file_whole(results, "{\"index\": 0, torn\n");
  ASSERT_TRUE(site.ends(id));
  EXPECT_EQ(site.job(id).state, JobState::failed);
  EXPECT_THAT(site.starts(id), ElementsAre("1.0"));
}

// A disk that was full leaves such files, and an older sluice cannot read a newer worker's.
TEST(Tick, AFileThatCannotBeReadIsToldAndDoesNotHoldUpTheJob) {
  LocalSite site;
  site.hold();
  const auto id = site.queue();
  ASSERT_TRUE(site.ticks_until(id, [](const db::Job& job) { return job.prompts_ok == 1; }));
  const auto layout = site.layout(id);
  jobs::write_file_whole(layout.stage({.attempt = 1, .restart = 0}, 7), "{");
  jobs::write_file_whole(layout.exit({.attempt = 1, .restart = 0}), "{");
  const auto warnings = site.tick().warnings;
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0].text, HasSubstr("exit.json cannot be used: "));
  site.release();
  ASSERT_TRUE(site.ends(id));
  EXPECT_EQ(site.job(id).state, JobState::completed) << site.job(id).reason;
  EXPECT_EQ(site.open().stage_metrics(id, {.attempt = 1, .restart = 0}).size(), 1u);
  EXPECT_EQ(count_events(site, id, EventKind::note), 2) << "exit.json and stage-7.json, once each";
}

// An executor with prepared answers, for what no local machine does.
class ScriptedExecutor final : public Executor {
 public:
  slurm::SubmitAnswer answer;
  Sighting sighting;
  int submissions = 0;
  std::vector<std::string> tokens;

  slurm::SubmitAnswer submit(const jobs::JobSpec&, const Watch& watch) override {
    ++submissions;
    tokens.push_back(watch.attempt.token);
    return answer;
  }
  std::vector<Sighting> observe(const std::vector<Watch>& watches) override {
    return std::vector<Sighting>(watches.size(), sighting);
  }
  std::optional<std::string> cancel(const Watch&) override { return std::nullopt; }
};

using Answer = slurm::SubmitAnswer::Kind;

TEST(Tick, RequeuesAndAttemptsTogetherStayBelowMaxAttempts) {
  LocalSite site;
  const auto id = site.queue({{"executor", {"slurm"}}, {"max-attempts", {"4"}}});
  ScriptedExecutor executor;
  executor.answer = {.kind = Answer::accepted, .id = "42", .message = {}};
  executor.sighting.kind = Sighting::Kind::seen;
  executor.sighting.status.phase = slurm::Phase::failed;
  executor.sighting.status.state = "NODE_FAIL";
  executor.sighting.status.end_unix_s = 1;
  site.tick(executor);
  std::filesystem::create_directories(site.layout(id).run_dir({.attempt = 1, .restart = 1}));
  site.tick(executor);  // its end
  site.tick(executor);
  ASSERT_EQ(site.job(id).attempt, 2);
  EXPECT_THAT(jobs::read_file(site.layout(id).script(2)), HasSubstr(" -lt 2 ]"));
  std::filesystem::create_directories(site.layout(id).run_dir({.attempt = 2, .restart = 1}));
  site.tick(executor);
  EXPECT_THAT(site.job(id).reason, HasSubstr(" (after 4 runs)"));
}

TEST(Tick, ARefusalFailsTheJobWithTheClustersWords) {
  LocalSite site;
  const auto id = site.queue();
  ScriptedExecutor executor;
  executor.answer = {.kind = Answer::refused, .id = {}, .message = "Invalid partition name"};
  executor.sighting.kind = Sighting::Kind::absent;
  site.tick(executor);
  EXPECT_EQ(site.job(id).state, JobState::failed);
  EXPECT_EQ(site.job(id).reason, "Invalid partition name");
}

TEST(Tick, ARefusalIsNotBelievedWhileTheClusterCannotBeAsked) {
  LocalSite site;
  const auto id = site.queue();
  ScriptedExecutor executor;
  executor.answer = {.kind = Answer::refused, .id = {}, .message = "no"};
  const auto report = site.tick(executor);
  EXPECT_EQ(site.job(id).state, JobState::submitting);
  EXPECT_TRUE(report.warnings.at(0).unreachable);
}

TEST(Tick, ALostAnswerIsLookedForAndThenSubmittedWithTheSameToken) {
  LocalSite site;
  const auto id = site.queue();
  ScriptedExecutor executor;
  executor.answer = {.kind = Answer::unknown, .id = {}, .message = "Socket timed out"};
  in_child([&] { site.tick(executor); });  // its owner is gone afterwards
  EXPECT_EQ(site.job(id).state, JobState::submitting);
  site.tick(executor);
  EXPECT_EQ(executor.submissions, 0) << "nobody could be asked";
  executor.sighting.kind = Sighting::Kind::absent;
  executor.answer = {.kind = Answer::accepted, .id = "43", .message = {}};
  const auto token = site.open().newest_attempt(id)->token;
  site.tick(executor);
  EXPECT_THAT(executor.tokens, ElementsAre(token));
  EXPECT_EQ(site.job(id).state, JobState::pending);
  EXPECT_EQ(site.open().newest_attempt(id)->cluster_id, "43");
}

TEST(Tick, TwoWhoSeeTheSameLostSubmissionMakeItOnce) {
  LocalSite site;
  const auto id = site.queue();
  ScriptedExecutor executor;
  in_child([&] { site.tick(executor); });  // its answer is unknown, its owner gone
  executor.sighting.kind = Sighting::Kind::absent;
  auto store = site.open();
  const Site both{.store = store, .executor = [&](const auto&) -> Executor& { return executor; }};
  Report report;
  const auto first = observe(both, {}, report), second = observe(both, {}, report);
  apply(both, first.at(0), {.job = id, .what = SubmitAgain{}}, report);
  EXPECT_FALSE(apply(both, second.at(0), {.job = id, .what = SubmitAgain{}}, report));
  EXPECT_EQ(executor.submissions, 1);
}

}  // namespace
}  // namespace sluice::scheduler
