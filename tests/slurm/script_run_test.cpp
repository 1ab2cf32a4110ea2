// Oracle: real bash. The script runs with launchers of ours that write down what reached them byte
// for byte, and the rules of a claim: one job runs an attempt, however many copies were submitted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <vector>

#include "jobs/layout.h"
#include "slurm/command.h"
#include "slurm/script.h"
#include "tests/slurm/files.h"

namespace sluice::slurm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using tests::becomes_true;
using tests::read_text;
using tests::TempDir;
using tests::write_program;
using tests::write_text;

constexpr const char* kToken = "0123456789abcdef";

// Every character that a shell, Slurm or make would like to read as something else.
const std::string kHostile =
    "-n 'single' \"double\" $(touch owned) `touch owned` ${HOME} \\ * ? ~ "
    "; & | < > # ! \t\nsecond line\n\xc3\xa9\xe6\xbc\xa2\xff ";

std::vector<std::string> split_at_nul(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\0', begin);
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

// A job directory and programs of ours in place of srun, mpirun and scontrol.
class ScriptRun : public testing::Test {
 protected:
  void SetUp() override { use_job_dir(dir_ / "job"); }

  void use_job_dir(const std::filesystem::path& job_dir) {
    job_dir_ = job_dir;
    std::filesystem::create_directories(dir_ / "bin");
    std::filesystem::create_directories(jobs::Layout(job_dir_).claims_dir());
    std::filesystem::create_directories(jobs::Layout(job_dir_).runs_dir());
    launcher_does("exit 0");
    write_program(dir_ / "bin/scontrol", "#!/bin/bash\necho \"$*\" >>\"$OUT/scontrol\"\n");
    spec_.executor = "slurm";
    spec_.name = "demo";
    spec_.worker = "/opt/sluice/bin/sluice-worker";
  }

  void launcher_does(const std::string& then) {
    for (const char* name : {"srun", "mpirun"}) {
      write_program(
          dir_ / "bin" / name,
          "#!/bin/bash\nprintf '%s\\0' \"$0\" \"$@\" >\"$OUT/argv\"\nenv -0 >\"$OUT/env\"\n"
          "echo run >>\"$OUT/runs\"\n" +
              then + "\n");
    }
  }

  std::string script() const {
    return make_script({.spec = spec_,
                        .job_dir = job_dir_,
                        .attempt = 1,
                        .token = kToken,
                        .runs_before = runs_before_});
  }

  std::vector<std::string> environment(const std::string& job_id, int restart) const {
    std::vector<std::string> env = {"PATH=" + (dir_ / "bin").string() + ":/usr/bin:/bin",
                                    "OUT=" + dir_.path().string()};
    if (spec_.executor == "slurm") {
      env.push_back("SLURM_JOB_ID=" + job_id);
      if (restart > 0) env.push_back("SLURM_RESTART_COUNT=" + std::to_string(restart));
    } else {
      env.push_back("SLUICE_CLUSTER_ID=" + job_id);
    }
    return env;
  }

  CommandResult run(const std::string& job_id = "7", int restart = 0) const {
    write_text(dir_ / "script.sh", script());
    return run_command({"bash", dir_ / "script.sh"},
                       {.timeout_s = 60, .env = environment(job_id, restart)});
  }

  std::int64_t start(const std::string& job_id = "7", int restart = 0) const {
    write_text(dir_ / "script.sh", script());
    return spawn({"bash", dir_ / "script.sh"},
                 {.log = dir_ / "log", .env = environment(job_id, restart)});
  }

  std::string claim() const { return read_text(jobs::Layout(job_dir_).claim(1, kToken)); }
  std::string runs() const { return read_text(dir_ / "runs"); }
  std::string scontrol() const { return read_text(dir_ / "scontrol"); }
  std::vector<std::string> launched() const { return split_at_nul(read_text(dir_ / "argv")); }

  TempDir dir_;
  std::filesystem::path job_dir_;
  jobs::JobSpec spec_;
  int runs_before_ = 0;
};

TEST_F(ScriptRun, HostileValuesReachTheLauncherByteForByte) {
  use_job_dir(dir_ / "job dir 'q' \"d\" $(touch owned) `touch owned` \xc3\xa9 #%");
  spec_.name = kHostile;
  spec_.worker = "/opt/" + kHostile;
  spec_.model = kHostile;
  spec_.cluster.env = {{"HOSTILE", kHostile}, {"_x1", "=" + kHostile}};
  spec_.cluster.modules = {kHostile, "plain/1.2"};
  spec_.cluster.pre_commands = {"module() { printf '%s\\0' \"$@\" >\"$OUT/modules\"; }", "true"};
  spec_.cluster.partition = "p a'r\"t $(touch owned)";
  spec_.cluster.constraint = "[a&b]|c*2";
  // `module` as a site's profile exports it
  auto env = environment("7", 0);
  env.push_back("BASH_FUNC_module%%=() { printf '%s\\0' \"$@\" >\"$OUT/modules\"\n}");
  write_text(dir_ / "script.sh", script());
  const auto result = run_command({"bash", dir_ / "script.sh"}, {.timeout_s = 60, .env = env});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, IsEmpty());
  const auto argv = launched();
  ASSERT_EQ(argv.size(), 20u);
  const std::vector<std::string> fixed(argv.begin() + 1, argv.begin() + 18);
  EXPECT_THAT(fixed, ElementsAre("-K", "--mpi=pmix", "-n", "1", "-c", "1", "--export=ALL",
                                 spec_.worker, "run", "--job-dir", job_dir_.string(), "--attempt",
                                 "1", "--restart", "0", "--cluster-id", "7"));
  const auto variables = split_at_nul(read_text(dir_ / "env"));
  EXPECT_THAT(variables, testing::Contains("HOSTILE=" + kHostile));
  EXPECT_THAT(variables, testing::Contains("_x1==" + kHostile));
  EXPECT_THAT(split_at_nul(read_text(dir_ / "modules")),
              ElementsAre("load", kHostile, "plain/1.2"));
  EXPECT_FALSE(std::filesystem::exists("owned"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "owned"));
}

TEST_F(ScriptRun, WorkerLearnsWhenTheScriptBegan) {
  const double before = static_cast<double>(::time(nullptr)) - 1;
  spec_.cluster.pre_commands = {"export LC_ALL=de_DE.UTF-8"};
  ASSERT_EQ(run().exit_code, 0);
  const auto argv = launched();
  ASSERT_GE(argv.size(), 2u);
  EXPECT_EQ(argv[argv.size() - 2], "--script-start-unix-s");
  const double began = std::stod(argv.back());
  EXPECT_GE(began, before);
  EXPECT_LE(began, static_cast<double>(::time(nullptr)) + 1);
}

TEST_F(ScriptRun, ClaimSaysWhoRunsIt) {
  ASSERT_EQ(run("48213").exit_code, 0);
  EXPECT_EQ(claim(), "48213 0\n");
  EXPECT_TRUE(std::filesystem::is_directory(job_dir_ / "runs/1.0"));
  // nothing else stays in the folder
  const auto claims = std::filesystem::directory_iterator(jobs::Layout(job_dir_).claims_dir());
  EXPECT_EQ(std::distance(begin(claims), end(claims)), 1);
}

TEST_F(ScriptRun, TwinLeavesQuietlyBeforeItDoesAnything) {
  ASSERT_EQ(run("7").exit_code, 0);
  spec_.cluster.pre_commands = {"touch \"$OUT/began\""};
  const auto twin = run("8");
  EXPECT_EQ(twin.exit_code, 0);
  EXPECT_EQ(twin.err, "sluice: job 7 (restart 0) has this attempt; job 8 leaves it alone\n");
  EXPECT_EQ(claim(), "7 0\n");
  EXPECT_EQ(runs(), "run\n");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "began"));
}

TEST_F(ScriptRun, SameJobGoesOnOnlyAfterARequeue) {
  ASSERT_EQ(run("7").exit_code, 0);
  EXPECT_THAT(run("7").err, HasSubstr("leaves it alone"));  // a used-again id, or a double start
  EXPECT_THAT(run("7", 1).err, IsEmpty());
  EXPECT_EQ(claim(), "7 1\n");
  EXPECT_TRUE(std::filesystem::is_directory(job_dir_ / "runs/1.1"));
  EXPECT_THAT(run("7", 1).err, HasSubstr("leaves it alone"));
  EXPECT_EQ(runs(), "run\nrun\n");
}

TEST_F(ScriptRun, OfManyAtOnceExactlyOneRuns) {
  write_text(dir_ / "script.sh", script());
  std::vector<std::int64_t> pids;
  for (int id = 1; id <= 12; ++id) {
    pids.push_back(spawn({"bash", dir_ / "script.sh"},
                         {.log = dir_ / "log", .env = environment(std::to_string(id), 0)}));
  }
  for (const auto pid : pids) EXPECT_EQ(wait_for(pid), 0);
  EXPECT_EQ(runs(), "run\n");
}

TEST_F(ScriptRun, WithoutAClaimNothingRuns) {
  std::filesystem::remove_all(jobs::Layout(job_dir_).claims_dir());
  EXPECT_EQ(run().exit_code, 1);
  EXPECT_EQ(runs(), "");
}

TEST_F(ScriptRun, ExitsWithTheWorkersStatus) {
  launcher_does("exit 3");
  EXPECT_EQ(run().exit_code, 3);
  launcher_does("kill -9 $$");
  EXPECT_EQ(run("7", 1).exit_code, 137);
  EXPECT_EQ(scontrol(), "");
}

TEST_F(ScriptRun, ModuleThatCannotBeLoadedEndsTheRun) {
  spec_.cluster.modules = {"gone/1.0"};
  auto env = environment("7", 0);
  env.push_back("BASH_FUNC_module%%=() { return 1\n}");
  write_text(dir_ / "script.sh", script());
  EXPECT_EQ(run_command({"bash", dir_ / "script.sh"}, {.timeout_s = 60, .env = env}).exit_code, 1);
  EXPECT_EQ(runs(), "");
}

TEST_F(ScriptRun, StoppedEarlyItRequeuesItselfWhileItMay) {
  launcher_does("exit 75");
  spec_.max_attempts = 2;
  EXPECT_EQ(run("7").exit_code, 75);
  EXPECT_EQ(scontrol(), "requeue 7\n");
  EXPECT_EQ(run("7", 1).exit_code, 75);  // the second of two
  EXPECT_EQ(scontrol(), "requeue 7\n");
  runs_before_ = 1;
  spec_.max_attempts = 4;
  EXPECT_EQ(run("7", 2).exit_code, 75);  // the fourth, with that of the attempt before
  EXPECT_EQ(scontrol(), "requeue 7\n");
}

TEST_F(ScriptRun, StoppedEarlyItStaysAwayWhereRequeueIsOff) {
  launcher_does("exit 75");
  spec_.cluster.requeue = false;
  EXPECT_EQ(run().exit_code, 75);
  spec_.cluster.requeue = true;
  spec_.executor = "local";
  spec_.launcher = "mpirun";
  std::filesystem::remove(jobs::Layout(job_dir_).claim(1, kToken));
  EXPECT_EQ(run("local-1-2").exit_code, 75);
  EXPECT_EQ(claim(), "local-1-2 0\n");
  EXPECT_EQ(scontrol(), "");
}

// The launcher says when it is ready to be signalled, and ends only when told twice: once by the
// signal, once by the file `end`.
constexpr const char* kPatient = R"(
trap 'echo usr1 >>"$OUT/signals"' USR1
trap 'echo term >>"$OUT/signals"' TERM
touch "$OUT/ready"
until [ -e "$OUT/end" ]; do sleep 0.02; done
exit 75)";

TEST_F(ScriptRun, PassesUsr1OnAndWaitsForTheLauncherItself) {
  launcher_does(kPatient);
  const auto pid = start();
  ASSERT_TRUE(becomes_true([&] { return std::filesystem::exists(dir_ / "ready"); }));
  ::kill(static_cast<pid_t>(pid), SIGUSR1);
  ASSERT_TRUE(becomes_true([&] { return read_text(dir_ / "signals") == "usr1\n"; }));
  EXPECT_EQ(::kill(static_cast<pid_t>(pid), 0), 0);
  write_text(dir_ / "end", "");
  EXPECT_EQ(wait_for(pid), 75);
  EXPECT_EQ(scontrol(), "requeue 7\n");
}

TEST_F(ScriptRun, TermStopsTheRanksButIsNoReasonToComeBack) {
  launcher_does(kPatient);
  const auto pid = start();
  ASSERT_TRUE(becomes_true([&] { return std::filesystem::exists(dir_ / "ready"); }));
  ::kill(static_cast<pid_t>(pid), SIGTERM);
  ASSERT_TRUE(becomes_true([&] { return read_text(dir_ / "signals") == "usr1\n"; }));
  write_text(dir_ / "end", "");
  EXPECT_EQ(wait_for(pid), 75);
  EXPECT_EQ(scontrol(), "");
}

TEST_F(ScriptRun, StopBeforeTheLauncherMeansNoLauncher) {
  spec_.cluster.pre_commands = {"kill -USR1 $$"};
  EXPECT_EQ(run().exit_code, 75);
  EXPECT_EQ(runs(), "");
  EXPECT_EQ(scontrol(), "requeue 7\n");
}

TEST_F(ScriptRun, AStopThatTheLauncherCannotHearYetIsAStopAllTheSame) {
  launcher_does("touch \"$OUT/ready\"; sleep 60");  // USR1 kills it
  const auto pid = start();
  ASSERT_TRUE(becomes_true([&] { return std::filesystem::exists(dir_ / "ready"); }));
  ::kill(static_cast<pid_t>(pid), SIGUSR1);
  EXPECT_EQ(wait_for(pid), 75);
  EXPECT_EQ(scontrol(), "requeue 7\n");
}

TEST_F(ScriptRun, ACancelledJobNeitherStartsNorComesBack) {
  write_text(jobs::Layout(job_dir_).cancel_request(), "");
  EXPECT_EQ(run().exit_code, 75);
  EXPECT_EQ(runs(), "");
  EXPECT_EQ(scontrol(), "");
  std::filesystem::remove(jobs::Layout(job_dir_).cancel_request());
  launcher_does("touch " + quote(jobs::Layout(job_dir_).cancel_request()) + "; exit 75");
  EXPECT_EQ(run("7", 1).exit_code, 75);
  EXPECT_EQ(runs(), "run\n");
  EXPECT_EQ(scontrol(), "");
}

TEST_F(ScriptRun, UsersCommandsNeedNotBeCleanOfUnsetVariables) {
  spec_.cluster.pre_commands = {"export SEEN=\"<$no_such_variable>\"", "attempt=9 restart=9"};
  EXPECT_EQ(run().exit_code, 0);
  EXPECT_THAT(split_at_nul(read_text(dir_ / "env")), testing::Contains("SEEN=<>"));
}

}  // namespace
}  // namespace sluice::slurm
