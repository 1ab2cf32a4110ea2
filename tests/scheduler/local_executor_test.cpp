// Oracle: what real processes do: a small bash script, real signals, and records that were altered
// as a restart of the machine or a reused pid would leave them.
#include "scheduler/local_executor.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scheduler/cancel_request.h"
#include "scheduler/local_record.h"
#include "scheduler/supervisor.h"
#include "tests/scheduler/site.h"

namespace sluice::scheduler {
namespace {

using slurm::Phase;
using tests::eventually;
using Kind = Sighting::Kind;

class LocalExecutorTest : public testing::Test {
 protected:
  // An attempt with this text for a script.
  Watch attempt(const std::string& name, const std::string& script) {
    const jobs::Layout layout(dir_ / name);
    std::filesystem::create_directories(layout.run_dir({.attempt = 1, .restart = 0}));
    jobs::write_file_whole(layout.script(1), script);
    Watch watch{.attempt = {}, .layout = layout};
    watch.attempt.attempt = 1;
    watch.attempt.cluster_name = name;
    return watch;
  }

  std::string submit(const Watch& watch) {
    const auto answer = executor_->submit({}, watch);
    EXPECT_EQ(answer.kind, slurm::SubmitAnswer::Kind::accepted) << answer.message;
    return answer.id;
  }

  slurm::JobStatus look(const Watch& watch) { return executor_->observe({watch}).at(0).status; }
  Phase phase(const Watch& watch) { return look(watch).phase; }
  bool reaches(const Watch& watch, Phase wanted) {
    return eventually([&] { return phase(watch) == wanted; });
  }
  LocalRecord record(const Watch& watch) { return read_local_record(watch.layout, 1).value(); }
  void rewrite(const Watch& watch, const LocalRecord& record) {
    jobs::write_file_whole(watch.layout.local(1), to_json(record));
  }

  // Runs until `release` is there; says so first.
  std::string patient_script() const {
    return "touch " + (dir_ / "started").string() + "\nwhile ! [ -e " +
           (dir_ / "release").string() + " ]; do sleep 0.01; done\n";
  }
  bool started() {
    return eventually([&] { return std::filesystem::exists(dir_ / "started"); });
  }

  tests::TempDir dir_;
  std::unique_ptr<Executor> executor_ = make_local_executor(SLUICE_PROGRAM);
};

TEST_F(LocalExecutorTest, AnAttemptThatNeverWasIsAbsent) {
  EXPECT_EQ(executor_->observe({attempt("a", "")}).at(0).kind, Kind::absent);
}

TEST_F(LocalExecutorTest, RecordsTheExitStatusAndHandsTheIdToTheScript) {
  const auto watch = attempt("a", "echo \"id $SLUICE_CLUSTER_ID\"; exit 3\n");
  const auto id = submit(watch);
  ASSERT_TRUE(reaches(watch, Phase::failed));
  const auto status = look(watch);
  EXPECT_EQ(status.state, "FAILED");
  EXPECT_EQ(status.exit_code, "3:0");
  EXPECT_EQ(status.id, id);
  EXPECT_GT(status.end_unix_s, 0);
  EXPECT_EQ(jobs::read_file(local_log(watch.layout, 1, id)), "id " + id + "\n");
}

TEST_F(LocalExecutorTest, AttemptsRunInTheOrderOfTheirArrivalThoughOneOfThemIsKilled) {
  const auto first = attempt("first", patient_script());
  submit(first);
  ASSERT_TRUE(started());
  std::vector<Watch> waiting;
  for (const char* name : {"e", "c", "a", "d", "b", "f"}) {
    waiting.push_back(
        attempt(name, "echo -n " + std::string(name) + " >> " + (dir_ / "order").string() + "\n"));
    submit(waiting.back());
    ASSERT_TRUE(eventually([&] { return record(waiting.back()).queued; }));
  }
  ::kill(static_cast<pid_t>(record(waiting[2]).supervisor.pid), SIGKILL);
  ASSERT_TRUE(reaches(waiting[2], Phase::failed));
  jobs::write_file_whole(dir_ / "release", "");
  ASSERT_TRUE(reaches(waiting.back(), Phase::succeeded));
  EXPECT_EQ(jobs::read_file(dir_ / "order"), "ecdbf");
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / ".local.queue"));
}

TEST_F(LocalExecutorTest, TheScriptSeesThePathOfTheUserNotOfWhoeverTicks) {
  const auto watch = attempt("a", "[ \"$PATH\" = /its/bin:/usr/bin:/bin ]\n");
  jobs::JobSpec spec;
  spec.submit_env = {{"PATH", "/its/bin:/usr/bin:/bin"}};
  executor_->submit(spec, watch);
  EXPECT_TRUE(reaches(watch, Phase::succeeded));
}

TEST_F(LocalExecutorTest, ReportsASignalAsAShellDoes) {
  const auto watch = attempt("a", "kill -9 $$\n");
  submit(watch);
  ASSERT_TRUE(reaches(watch, Phase::failed));
  EXPECT_EQ(look(watch).exit_code, "137:0");
}

TEST_F(LocalExecutorTest, ASecondSubmissionOfAnAttemptRunsNothing) {
  const auto watch = attempt("a", "echo once\n");
  const auto id = submit(watch);
  EXPECT_EQ(submit(watch), id);
  ASSERT_TRUE(reaches(watch, Phase::succeeded));
  EXPECT_EQ(submit(watch), id);
  EXPECT_EQ(jobs::read_file(local_log(watch.layout, 1, id)), "once\n");
}

TEST_F(LocalExecutorTest, JobsOfOneRootRunOneAfterTheOther) {
  const auto first = attempt("a", patient_script()), second = attempt("b", "true\n");
  submit(first);
  ASSERT_TRUE(started());
  submit(second);
  ASSERT_TRUE(eventually([&] { return look(second).reason == "another local job is running"; }));
  EXPECT_EQ(phase(second), Phase::pending);
  dir_.write("release", "");
  EXPECT_TRUE(reaches(first, Phase::succeeded));
  EXPECT_TRUE(reaches(second, Phase::succeeded));
}

TEST_F(LocalExecutorTest, ACancelReachesTheScriptAsTerm) {
  const auto watch = attempt("a", "trap 'echo asked; exit 75' TERM\n" + patient_script());
  const auto id = submit(watch);
  ASSERT_TRUE(started());
  publish_cancel_request(watch.layout);
  EXPECT_EQ(executor_->cancel(watch), std::nullopt);
  ASSERT_TRUE(reaches(watch, Phase::cancelled));
  EXPECT_EQ(record(watch).exit_code, 75);
  EXPECT_EQ(jobs::read_file(local_log(watch.layout, 1, id)), "asked\n");
}

TEST_F(LocalExecutorTest, ACancelReachesAnAttemptThatWaits) {
  const auto first = attempt("a", patient_script()), second = attempt("b", "echo never\n");
  submit(first);
  ASSERT_TRUE(started());
  const auto id = submit(second);
  publish_cancel_request(second.layout);
  EXPECT_EQ(executor_->cancel(second), std::nullopt);
  EXPECT_TRUE(reaches(second, Phase::cancelled));
  EXPECT_FALSE(std::filesystem::exists(local_log(second.layout, 1, id)));
  dir_.write("release", "");
  EXPECT_TRUE(reaches(first, Phase::succeeded));
}

TEST_F(LocalExecutorTest, ALockThatCannotBeHadIsAFailureWithItsReason) {
  std::filesystem::create_directory(dir_ / ".local.lock");
  const auto watch = attempt("a", "echo never\n");
  submit(watch);
  ASSERT_TRUE(reaches(watch, Phase::failed));
  EXPECT_EQ(look(watch).state, "FAILED") << "and so it is not tried again";
  EXPECT_EQ(look(watch).reason,
            "open the lock " + (dir_ / ".local.lock").string() + ": Is a directory");
}

TEST_F(LocalExecutorTest, AShutdownIsNoCancel) {
  const auto first = attempt("a", "trap 'exit 75' TERM\n" + patient_script());
  const auto second = attempt("b", "echo never\n");
  submit(first);
  ASSERT_TRUE(started());
  submit(second);
  for (const auto& watch : {second, first}) {
    ::kill(static_cast<pid_t>(record(watch).supervisor.pid), SIGTERM);
    ASSERT_TRUE(reaches(watch, Phase::failed));
    EXPECT_EQ(look(watch).state, "NODE_FAIL");
    EXPECT_EQ(look(watch).reason, "ended by a shutdown or a logout");
  }
}

// A rank in a process group of its own that ignores what its launcher is told.
TEST_F(LocalExecutorTest, NoProcessOutlivesTheScript) {
  const std::string pid_file = dir_ / "rank";
  const auto watch = attempt("a", "set -m\n(trap '' TERM HUP; echo $BASHPID >" + pid_file +
                                      "; while :; do sleep 0.1; done) &\nuntil [ -s " + pid_file +
                                      " ]; do :; done\n");
  submit(watch);
  ASSERT_TRUE(reaches(watch, Phase::succeeded));
  EXPECT_FALSE(find_process(std::stoll(jobs::read_file(pid_file))));
}

TEST_F(LocalExecutorTest, AScriptThatOutlivesItsSupervisorIsSeenToRun) {
  const auto watch = attempt("a", patient_script());
  submit(watch);
  ASSERT_TRUE(started());
  ASSERT_TRUE(reaches(watch, Phase::running));
  ::kill(static_cast<pid_t>(record(watch).supervisor.pid), SIGKILL);
  ASSERT_TRUE(eventually([&] { return !lives(record(watch).supervisor); }));
  EXPECT_EQ(phase(watch), Phase::running);
  EXPECT_EQ(look(watch).reason, "the supervisor is gone, the script goes on");

  const auto next = attempt("b", "true\n");
  submit(next);
  EXPECT_TRUE(eventually([&] { return !look(next).reason.empty(); }))
      << "the cores are still taken";
  dir_.write("release", "");
  ASSERT_TRUE(reaches(watch, Phase::failed));
  EXPECT_EQ(look(watch).state, "NODE_FAIL");
  EXPECT_EQ(look(watch).reason, "the supervisor is gone");
  EXPECT_TRUE(reaches(next, Phase::succeeded));
}

TEST_F(LocalExecutorTest, ARestartedMachineIsToldApart) {
  const auto watch = attempt("a", patient_script());
  submit(watch);
  ASSERT_TRUE(reaches(watch, Phase::running));
  const auto before = record(watch);
  auto altered = before;
  altered.boot_id = "another boot";
  rewrite(watch, altered);
  EXPECT_EQ(look(watch).state, "NODE_FAIL");
  EXPECT_EQ(look(watch).reason, "the machine was restarted");
  EXPECT_EQ(executor_->cancel(watch), std::nullopt) << "nothing of it is left";
  altered.host = "another host";
  rewrite(watch, altered);
  EXPECT_EQ(executor_->observe({watch}).at(0).kind, Kind::unknown) << "nobody here can tell";
  EXPECT_EQ(executor_->cancel(watch), "it runs on another host; cancel it there");
  rewrite(watch, before);
  dir_.write("release", "");
  EXPECT_TRUE(reaches(watch, Phase::succeeded));
}

TEST_F(LocalExecutorTest, AReusedPidIsNotTakenForTheSupervisor) {
  const auto watch = attempt("a", patient_script());
  submit(watch);
  ASSERT_TRUE(reaches(watch, Phase::running));
  const auto before = record(watch);
  auto altered = before;
  altered.supervisor = {.pid = ::getpid(), .start_ticks = 1};
  altered.script = altered.supervisor;
  rewrite(watch, altered);
  EXPECT_EQ(look(watch).reason, "the supervisor is gone");
  EXPECT_EQ(executor_->cancel(watch), std::nullopt) << "and no stranger was killed";
  rewrite(watch, before);
  dir_.write("release", "");
  EXPECT_TRUE(reaches(watch, Phase::succeeded));
}

TEST_F(LocalExecutorTest, ADamagedRecordIsNoAnswer) {
  const auto watch = attempt("a", "true\n");
  jobs::write_file_whole(watch.layout.local(1), "{\"format_version\": 1}");
  EXPECT_EQ(executor_->observe({watch}).at(0).kind, Kind::unknown);
}

// The attempt's id names the supervisor, of whom /proc tells whether it lives.
TEST_F(LocalExecutorTest, ADamagedRecordDoesNotKeepAnAttemptFromItsEnd) {
  auto watch = attempt("a", "trap 'exit 75' TERM\n" + patient_script());
  watch.attempt.owner_host = host_name();
  watch.attempt.cluster_id = submit(watch);
  ASSERT_TRUE(started());
  ASSERT_TRUE(reaches(watch, Phase::running));
  const auto before = record(watch);
  jobs::write_file_whole(watch.layout.local(1), "{");
  EXPECT_EQ(phase(watch), Phase::running);
  publish_cancel_request(watch.layout);
  EXPECT_EQ(executor_->cancel(watch), std::nullopt);
  ASSERT_TRUE(reaches(watch, Phase::cancelled)) << "the supervisor's last word is whole again";

  jobs::write_file_whole(watch.layout.local(1), "{");
  ASSERT_TRUE(eventually([&] { return !lives(before.supervisor); }));
  EXPECT_EQ(look(watch).state, "NODE_FAIL");
  watch.attempt.owner_host = "elsewhere";
  EXPECT_EQ(executor_->observe({watch}).at(0).kind, Kind::unknown);
}

// Whatever it did would be seen by nobody; and a folder that comes back is another attempt's.
TEST_F(LocalExecutorTest, ASupervisorWhoseFolderIsGoneEnds) {
  const auto first = attempt("a", patient_script()), second = attempt("b", "echo never\n");
  submit(first);
  ASSERT_TRUE(started());
  ASSERT_TRUE(reaches(first, Phase::running));
  submit(second);
  const auto running = record(first), waiting = record(second);
  for (const auto& watch : {second, first}) {
    std::filesystem::rename(watch.layout.dir(), watch.layout.dir().string() + "-moved-away");
  }
  EXPECT_TRUE(eventually([&] { return !lives(waiting.supervisor); }));
  EXPECT_TRUE(eventually([&] { return !lives(running.supervisor); }));
  EXPECT_FALSE(lives(running.script));
}

class Supervise : public LocalExecutorTest {
 protected:
  // The outcome of an attempt whose launcher runs `launcher`, and holds no rank for a while.
  LocalRecord supervised(const std::string& launcher) {
    const auto program = dir_.write("launcher", "#!/bin/bash\n" + launcher);
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    jobs::JobSpec spec;
    spec.model = "m";
    spec.launcher = program.string() + " -x";
    spec.worker = SLUICE_FAKE_WORKER;
    const auto watch = attempt("a", program.string() + "\n");
    jobs::write_file_whole(watch.layout.spec(), to_json(spec));
    const pid_t child = ::fork();  // it blocks signals, and waits for its children
    if (child == 0) {
      supervise({.job_dir = watch.layout.dir(),
                 .attempt = 1,
                 .lock = dir_ / ".local.lock",
                 .empty_launcher_max_s = 1});
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    return record(watch);
  }
};

TEST_F(Supervise, ALauncherThatLostItsRanksIsEnded) {
  const auto record = supervised("while :; do :; done\n");
  EXPECT_EQ(record.state, LocalRecord::State::ended);
  EXPECT_THAT(record.error, testing::HasSubstr("held no rank any more"));
}

TEST_F(Supervise, ALauncherWithARankIsLeftAlone) {
  const auto rank = dir_.write("a-wrapper-of-the-worker",
                               "#!/bin/bash\nfor ((i = 0; i < 60; ++i)); do sleep 0.05; done\n");
  std::filesystem::permissions(rank, std::filesystem::perms::owner_all);
  const auto record = supervised(rank.string() + "\nexit 3\n");
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.exit_code, 3);
}

}  // namespace
}  // namespace sluice::scheduler
