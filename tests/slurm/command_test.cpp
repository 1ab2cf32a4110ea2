// Oracle: real processes whose behaviour is known by construction (sh, head, sleep), and /proc.
#include "slurm/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "slurm/error.h"
#include "tests/slurm/files.h"

namespace sluice::slurm {
namespace {

using testing::HasSubstr;
using tests::becomes_true;
using tests::read_text;
using tests::TempDir;
using tests::write_program;
using tests::write_text;
using Clock = std::chrono::steady_clock;

CommandResult sh(const std::string& script, double timeout_s = 30) {
  return run_command({"sh", "-c", script}, {.timeout_s = timeout_s, .env = {}});
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Gone, or a zombie that nobody reaps (some containers have no init).
bool process_is_over(const std::string& pid) {
  const std::string stat = read_text("/proc/" + pid + "/stat");
  const auto name_end = stat.rfind(") ");
  return name_end == std::string::npos || stat[name_end + 2] == 'Z';
}

TEST(RunCommand, KeepsBothOutputsAndTheExitCode) {
  const auto result = sh("echo out; echo err >&2; exit 3");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_FALSE(result.timed_out);
  EXPECT_FALSE(result.not_found);
}

TEST(RunCommand, ArgumentsArriveByteForByteWithoutAShell) {
  const std::vector<std::string> hostile = {"",   " ", "a b", "$(id)", "`id`", "'\"", "*",
                                            "\n", ";", "-n",  "\\",    "ü",    "\xff"};
  std::vector<std::string> argv = {"printf", "<%s>"};
  std::string expected;
  for (const auto& word : hostile) {
    argv.push_back(word);
    expected += "<" + word + ">";
  }
  EXPECT_EQ(run_command(argv, {}).out, expected);
}

TEST(RunCommand, SaysThatThereIsNoSuchProgram) {
  const auto by_name = run_command({"no-such-program-anywhere"}, {});
  EXPECT_TRUE(by_name.not_found);
  EXPECT_EQ(by_name.exit_code, 127);
  EXPECT_TRUE(run_command({"/no/such/program"}, {}).not_found);
}

TEST(RunCommand, ProgramThatCannotBeRunIsNoMissingProgram) {
  TempDir dir;
  write_program(dir / "broken", "#!/no/such/interpreter\n");
  const auto result = run_command({dir / "broken"}, {});
  EXPECT_EQ(result.exit_code, 126);
  EXPECT_FALSE(result.not_found);
  EXPECT_THAT(result.err, HasSubstr("No such file"));
}

TEST(RunCommand, SignalIsExitCode128AndIts) { EXPECT_EQ(sh("kill -9 $$").exit_code, 137); }

TEST(RunCommand, FloodOnBothOutputsIsReadToTheEndAndCut) {
  const auto flood = "head -c 10000000 /dev/zero; head -c 10000000 /dev/zero >&2; exit 7";
  const auto result = sh(flood);
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(result.out.size(), kOutputBytesMax);
  EXPECT_EQ(result.err.size(), kOutputBytesMax);
  EXPECT_TRUE(result.truncated);
  EXPECT_FALSE(sh("head -c 8388608 /dev/zero").truncated) << "just what is kept";
}

TEST(RunCommand, StdinIsEmpty) { EXPECT_EQ(sh("cat; echo end").out, "end\n"); }

TEST(RunCommand, TimeoutEndsOneThatIgnoresTermAndItsChildren) {
  const auto start = Clock::now();
  const auto result = sh("trap '' TERM; sleep 300 & echo $!; wait", 0.5);
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.exit_code, 128 + SIGKILL);
  EXPECT_LT(seconds_since(start), 20);
  ASSERT_FALSE(result.out.empty());
  const std::string child = result.out.substr(0, result.out.size() - 1);
  EXPECT_TRUE(becomes_true([&] { return process_is_over(child); }));
}

TEST(RunCommand, IsStoppedWhenAskedTo) {
  int looks = 0;
  const auto result =
      run_command({"sh", "-c", "sleep 100"},
                  {.timeout_s = 90, .env = {}, .should_stop = [&] { return ++looks == 2; }});
  EXPECT_TRUE(result.stopped);
  EXPECT_FALSE(result.timed_out);
  EXPECT_FALSE(
      run_command({"true"}, {.timeout_s = 90, .env = {}, .should_stop = [] { return false; }})
          .stopped);
}

TEST(RunCommand, OneThatClosesItsOutputsIsStillWaitedFor) {
  TempDir dir;
  const auto result =
      sh("exec >&- 2>&-; sleep 0.3; touch '" + (dir / "done").string() + "'; exit 5");
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_TRUE(std::filesystem::exists(dir / "done"));
}

TEST(RunCommand, ChildThatKeepsTheOutputsOpenIsNotWaitedFor) {
  const auto start = Clock::now();
  const auto result = sh("sleep 60 & echo $!");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_LT(seconds_since(start), 30);
  ASSERT_GT(result.out.size(), 1u);
  ::kill(static_cast<pid_t>(std::stol(result.out)), SIGKILL);
}

TEST(RunCommand, EnvironmentIsOursWithChanges) {
  ::setenv("SLUICE_TEST_A", "ours", 1);
  ::setenv("SLUICE_TEST_B", "ours", 1);
  ::setenv("SLUICE_TEST_C", "ours", 1);
  const auto result =
      run_command({"sh", "-c", "echo ${SLUICE_TEST_A-unset} ${SLUICE_TEST_B-unset} $SLUICE_TEST_C"},
                  {.timeout_s = 30, .env = {"SLUICE_TEST_A=a=b", "SLUICE_TEST_B"}});
  EXPECT_EQ(result.out, "a=b unset ours\n");
}

TEST(RunCommand, SignalsWeIgnoreOrBlockDoNotReachTheProgram) {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto result = run_command({"grep", "-E", "SigBlk|SigIgn", "/proc/self/status"}, {});
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  EXPECT_EQ(result.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(RunCommand, ManyAtOnceFromManyThreads) {
  std::vector<std::thread> threads;
  std::vector<std::string> answers(8);
  for (std::size_t t = 0; t < answers.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) {
        const auto result = sh("echo " + std::to_string(t) + "; exit " + std::to_string(t));
        answers[t] += result.out + std::to_string(result.exit_code) + "\n";
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (std::size_t t = 0; t < answers.size(); ++t) {
    const std::string once = std::to_string(t) + "\n" + std::to_string(t) + "\n";
    EXPECT_EQ(answers[t], once + once + once + once + once);
  }
}

TEST(Spawn, LeadsASessionOfItsOwnAndAppendsToTheLog) {
  TempDir dir;
  write_text(dir / "log", "before\n");
  const auto pid = spawn({"sh", "-c", "cut -d' ' -f5,6 /proc/$$/stat; cat; echo $X >&2; exit 9"},
                         {.log = dir / "log", .env = {"X=x y"}});
  EXPECT_EQ(wait_for(pid), 9);
  const std::string id = std::to_string(pid);
  EXPECT_EQ(read_text(dir / "log"), "before\n" + id + " " + id + "\nx y\n");
}

TEST(Spawn, LivesOnWhenTheOneThatStartedItEnds) {
  TempDir dir;
  const pid_t parent = ::fork();
  if (parent == 0) {
    spawn({"sh", "-c",
           "read -r line <'" + (dir / "go").string() + "'; echo \"$line\" >'" +
               (dir / "end").string() + "'"},
          {.log = dir / "log", .env = {}});
    ::_exit(0);
  }
  ASSERT_EQ(::mkfifo((dir / "go").c_str(), 0600), 0);
  ASSERT_EQ(wait_for(parent), 0);
  write_text(dir / "go", "on\n");  // blocks until the other end is open
  EXPECT_TRUE(becomes_true([&] { return read_text(dir / "end") == "on\n"; }));
}

TEST(Spawn, SaysWhatCannotBeStarted) {
  TempDir dir;
  try {
    spawn({"no-such-program-anywhere", "a b"}, {.log = dir / "log", .env = {}});
    FAIL() << "it was started";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "cannot start no-such-program-anywhere 'a b': there is no such program on PATH");
  }
  EXPECT_THROW(spawn({"true"}, {.log = "/no/such/folder/log", .env = {}}), Error);
  EXPECT_THROW(wait_for(1), Error);  // not ours
}

TEST(Quote, ShellReadsBackEveryByte) {
  std::string every_byte;
  for (int byte = 1; byte < 256; ++byte) every_byte += static_cast<char>(byte);
  for (const std::string& word :
       {std::string(), std::string("-n"), std::string("it's $(id) `id`\n"), std::string("''"),
        std::string("~"), every_byte}) {
    EXPECT_EQ(sh("printf '<%s>' " + quote(word)).out, "<" + word + ">");
    EXPECT_EQ(run_command({"bash", "-c", "printf '<%s>' " + quote(word)}, {}).out,
              "<" + word + ">");
  }
}

TEST(Quote, LeavesPlainWordsPlain) {
  EXPECT_EQ(quote({"sbatch", "--output=/a/b-%j.out", "x y", ""}),
            "sbatch --output=/a/b-%j.out 'x y' ''");
}

}  // namespace
}  // namespace sluice::slurm
