// Oracle: golden files that were read line by line, bash -n and shellcheck. SLUICE_UPDATE_GOLDEN=1
// writes the files anew, for another reading.
#include "slurm/script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "slurm/command.h"
#include "slurm/error.h"
#include "tests/slurm/files.h"

namespace sluice::slurm {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using tests::read_text;
using tests::TempDir;
using tests::write_text;

jobs::JobSpec minimal_spec() {
  jobs::JobSpec spec;
  spec.name = "demo";
  spec.executor = "slurm";
  spec.worker = "/opt/sluice/bin/sluice-worker";
  spec.shape = {.nodes = 2, .ranks_per_node = 1, .replicas = 1, .stages = 2};
  return spec;
}

ScriptInput input_of(const jobs::JobSpec& spec) {
  return {.spec = spec,
          .job_dir = "/home/u/jobs/12-0a1b2c3d",
          .attempt = 1,
          .token = "0123456789abcdef"};
}

jobs::JobSpec everything_set() {
  jobs::JobSpec spec = minimal_spec();
  spec.name = "scaling study, 4 nodes";
  spec.shape = {.nodes = 4, .ranks_per_node = 2, .replicas = 1, .stages = 8};
  spec.max_attempts = 5;
  spec.launcher = "/usr/bin/srun --mpi=pmix --cpu-bind=none";
  spec.cluster = {.partition = "gpu",
                  .account = "ml",
                  .qos = "long",
                  .gres = "gpu:t4:2",
                  .constraint = "[t4&avx512]",
                  .exclude = "n9",
                  .nodelist = "n[1-4]",
                  .reservation = "r1",
                  .dependency = "afterok:17",
                  .mail_type = "END,FAIL",
                  .mem = "14G",
                  .gpus_per_node = "2",
                  .time = "1-0",
                  .cpus_per_task = 4,
                  .requeue = false,
                  .signal_grace_s = 120,
                  .sbatch_args = {"--exclusive", "--mail-user=a b@c"},
                  .modules = {"gcc/12", "openmpi"},
                  .pre_commands = {"source /opt/site/env.sh", "ulimit -c 0"},
                  .env = {{"OMP_NUM_THREADS", "4"}, {"GREETING", "it's me"}}};
  return spec;
}

void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(SLUICE_TEST_GOLDEN) + "/" + name;
  if (std::getenv("SLUICE_UPDATE_GOLDEN") != nullptr) write_text(path, text);
  EXPECT_EQ(text, read_text(path)) << path;
  TempDir dir;
  write_text(dir / "script.sh", text);
  EXPECT_EQ(run_command({"bash", "-n", dir / "script.sh"}, {}).exit_code, 0);
  const auto check =
      run_command({"shellcheck", "--exclude=SC1090,SC1091,SC2016", dir / "script.sh"}, {});
  EXPECT_TRUE(check.not_found || check.exit_code == 0) << check.out;
}

TEST(MakeScript, SlurmWithItsDefaults) {
  const auto spec = minimal_spec();
  expect_golden("script-slurm.sh", make_script(input_of(spec)));
}

TEST(MakeScript, SlurmWithMpirun) {
  auto spec = minimal_spec();
  spec.launcher = "mpirun";
  spec.shape = {.nodes = 2, .ranks_per_node = 2, .replicas = 1, .stages = 4};
  expect_golden("script-mpirun.sh", make_script(input_of(spec)));
}

TEST(MakeScript, Local) {
  auto spec = minimal_spec();
  spec.executor = "local";
  spec.launcher = "mpirun";
  expect_golden("script-local.sh", make_script(input_of(spec)));
}

TEST(MakeScript, EverythingSet) {
  const auto spec = everything_set();
  expect_golden("script-everything.sh", make_script(input_of(spec)));
}

TEST(MakeScript, HostileValues) {
  auto spec = minimal_spec();
  const std::string hostile = "-n 'a' \"b\" $(id) `id` \\ # \xc3\xa9";
  spec.name = hostile;
  spec.worker = "/opt/" + hostile + "\nnext line";
  spec.cluster.partition = hostile;
  spec.cluster.sbatch_args = {"--mail-user=" + hostile};
  spec.cluster.modules = {hostile};
  spec.cluster.env = {{"X", hostile + "\nnext line"}};
  const ScriptInput input = {
      .spec = spec, .job_dir = "/home/u/a 'q' 100%", .attempt = 2, .token = "0123456789abcdef"};
  expect_golden("script-hostile.sh", make_script(input));
}

TEST(MakeScript, RefusesWhatCannotBeSaid) {
  const auto refused = [](const auto& change) {
    auto spec = minimal_spec();
    change(spec);
    try {
      make_script(input_of(spec));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refused([](auto& spec) { spec.cluster.partition = "a\nb"; }),
              HasSubstr("--partition: a value with a line break"));
  EXPECT_THAT(refused([](auto& spec) { spec.cluster.account = std::string("a\0b", 3); }),
              HasSubstr("--account"));
  EXPECT_THAT(refused([](auto& spec) { spec.worker = std::string("a\0b", 3); }),
              HasSubstr("worker: a NUL byte"));
  EXPECT_THAT(refused([](auto& spec) {
                spec.cluster.env = {{"A B", "x"}};
              }),
              HasSubstr("'A B' is no name"));
  EXPECT_THAT(refused([](auto& spec) { spec.launcher = "ssh node"; }),
              HasSubstr("must begin with srun or mpirun"));
  EXPECT_THAT(refused([](auto& spec) { spec.launcher = ""; }), HasSubstr("launcher ''"));
  EXPECT_THAT(refused([](auto& spec) { spec.cluster.sbatch_args = {"--array=1-9"}; }),
              HasSubstr("--array cannot be passed through"));
  for (const char* argument : {"-a1-9", "-a", "--arr=1-9", "--arra", "-Ha1-9", "-QW", "-Mother",
                               "--cl=other", "--wrap=id", "--test"}) {
    EXPECT_THAT(refused([&](auto& spec) { spec.cluster.sbatch_args = {argument}; }),
                HasSubstr("cannot be passed through"))
        << argument;
  }
  for (const char* argument : {"--exclusive", "-H", "-sQ", "--acctg-freq=30", "-Aa", "--comment=-a",
                               "--wckey=x", "-JMaWa"}) {
    EXPECT_EQ(refused([&](auto& spec) { spec.cluster.sbatch_args = {argument}; }), "accepted")
        << argument;
  }
  EXPECT_THAT(refused([](auto& spec) { spec.cluster.sbatch_args = {"debug"}; }),
              HasSubstr("'debug' is no option"));
}

TEST(SbatchArgv, SaysAllThatTheScriptSaysAndOursLast) {
  const auto spec = everything_set();
  const auto argv = sbatch_argv(input_of(spec), "/home/u/jobs/12-0a1b2c3d/script-1.sh");
  EXPECT_THAT(
      argv,
      ElementsAre("sbatch", "--parsable", "--exclusive", "--mail-user=a b@c",
                  "--job-name=scaling_study__4_nodes-0123456789abcdef",
                  "--comment=sluice:0123456789abcdef", "--nodes=4", "--ntasks-per-node=2",
                  "--cpus-per-task=4", "--partition=gpu", "--account=ml", "--qos=long",
                  "--time=1-0", "--mem=14G", "--gres=gpu:t4:2", "--gpus-per-node=2",
                  "--constraint=[t4&avx512]", "--nodelist=n[1-4]", "--exclude=n9",
                  "--reservation=r1", "--dependency=afterok:17", "--mail-type=END,FAIL",
                  "--output=/home/u/jobs/12-0a1b2c3d/runs/1.0/slurm-%j.out", "--open-mode=append",
                  "--signal=B:USR1@120", "--no-requeue", "/home/u/jobs/12-0a1b2c3d/script-1.sh"));
}

TEST(SbatchArgv, AWarningComesWithinTheTimeLimit) {
  const auto warning = [](const std::string& limit, int grace_s) {
    auto spec = minimal_spec();
    spec.cluster.time = limit;
    spec.cluster.signal_grace_s = grace_s;
    for (const auto& word : sbatch_argv(input_of(spec), "/x")) {
      if (word.starts_with("--signal=B:USR1@")) return word.substr(16);
    }
    return std::string();
  };
  EXPECT_EQ(warning("1", 60), "30");
  EXPECT_EQ(warning("1", 59), "59");
  EXPECT_EQ(warning("0:30", 60), "15");
  EXPECT_EQ(warning("1:00:00", 3600), "1800");
  EXPECT_EQ(warning("1:00:00", 3599), "3599");
  EXPECT_EQ(warning("1-0", 86400), "43200");
  EXPECT_EQ(warning("1-1:30", 91800), "45900");
  EXPECT_EQ(warning("1-1:30:10", 91810), "45905");
  for (const char* other : {"", "0", "UNLIMITED", "INFINITE", "99999999999999999999", "-"}) {
    EXPECT_EQ(warning(other, 60), "60") << other;
  }
}

TEST(SbatchArgv, PercentSignOfAFolderIsNoPattern) {
  const auto spec = minimal_spec();
  const auto argv = sbatch_argv({.spec = spec, .job_dir = "/a/100%j", .attempt = 1, .token = "t"},
                                "/a/100%j/script-1.sh");
  EXPECT_THAT(argv, Contains("--output=/a/100%%j/runs/1.0/slurm-%j.out"));
}

TEST(SbatchArgv, FolderWithABackslashIsRefused) {
  const auto spec = minimal_spec();
  EXPECT_THROW(sbatch_argv({.spec = spec, .job_dir = "/a\\b", .attempt = 1, .token = "t"}, "/x"),
               Error);
}

}  // namespace
}  // namespace sluice::slurm
