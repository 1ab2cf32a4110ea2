// Oracle: what a shell does with the command, with stand-ins for srun, salloc and mpirun that print
// their words.
#include "slurm/trial.h"

#include <gmock/gmock.h>

#include "jobs/files.h"
#include "slurm/command.h"
#include "tests/slurm/files.h"

namespace sluice::slurm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Trials : public testing::Test {
 protected:
  Trials() {
    for (const char* name : {"srun", "mpirun"}) {
      program(name, "printf '<%s>' \"${0##*/}\" \"$@\"; echo \"MARK=${MARK:-}\"\n");
    }
    program("salloc",
            "printf '<%s>' salloc; while [ \"$1\" != bash ]; do printf '<%s>' \"$1\"; shift; "
            "done\nexec \"$@\"\n");
    spec_.shape = {.nodes = 2, .ranks_per_node = 2, .replicas = 1, .stages = 4};
    spec_.worker = "/opt/a b/sluice-worker";
    spec_.threads = 3;
    spec_.cluster.partition = "it's";
    spec_.cluster.time = "10:00:00";
    spec_.cluster.sbatch_args = {"--hold"};
    spec_.cluster.env["MARK"] = "a \"b\"";
    spec_.cluster.pre_commands = {"MARK=\"$MARK, and more\""};
  }

  void program(const std::string& name, const std::string& text) {
    tests::write_program(dir_ / name, "#!/bin/bash\n" + text);
  }
  std::string run(const char* executor, const char* launcher) {
    spec_.executor = executor;
    spec_.launcher = launcher;
    const RunCommand beside_stand_ins = [&](std::vector<std::string> argv, CommandOptions options) {
      options.env.push_back("PATH=" + dir_.path().string() + ":/usr/bin:/bin");
      if (argv[0] == "salloc") argv[0] = dir_ / "salloc";
      return run_command(argv, options);
    };
    const auto result = run_trial(
        beside_stand_ins,
        {.spec = spec_, .name = "probe-1", .words = {"probe", "--path=/a 'b'"}, .wait_s = 7}, 20);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }

  tests::TempDir dir_;
  jobs::JobSpec spec_;
};

TEST_F(Trials, SrunAsksForAnAllocationOfAFewMinutes) {
  const auto words = run("slurm", "srun --mpi=pmix");
  EXPECT_THAT(words, AllOf(HasSubstr("<--partition=it's>"), HasSubstr("<--nodes=2>"),
                           HasSubstr("<--ntasks-per-node=2>"), HasSubstr("<--immediate=7>"),
                           HasSubstr("<--time=5>"), HasSubstr("<--job-name=probe-1>"),
                           HasSubstr("<-K>"), HasSubstr("<--mpi=pmix><-n><4><-c><3>")));
  EXPECT_THAT(words, HasSubstr("<--export=ALL></opt/a b/sluice-worker><probe><--path=/a 'b'>"
                               "MARK=a \"b\", and more"));
  EXPECT_THAT(words, AllOf(Not(HasSubstr("10:00:00")), Not(HasSubstr("--hold"))));
}

TEST_F(Trials, MpirunOnSlurmRunsWithinAnAllocation) {
  const auto words = run("slurm", "mpirun");
  EXPECT_THAT(words, HasSubstr("<salloc><--quiet><--cpus-per-task=3>"));
  EXPECT_THAT(words, HasSubstr("<mpirun><-n><4><--bind-to><none><--map-by><ppr:2:node>"
                               "</opt/a b/sluice-worker><probe><--path=/a 'b'>MARK=a \"b\""));
}

TEST_F(Trials, WhatIsTooLateIsTakenOutOfTheQueue) {
  program("srun", "sleep 100\n");
  program("scancel", "echo \"$@\" >\"${0%/*}/cancelled\"\n");
  spec_.executor = "slurm";
  spec_.launcher = "srun";
  const RunCommand beside_stand_ins = [&](const auto& argv, CommandOptions options) {
    options.env.push_back("PATH=" + dir_.path().string() + ":/usr/bin:/bin");
    return argv[0] == "scancel" ? run_command({dir_ / "scancel", argv[1]}, options)
                                : run_command(argv, options);
  };
  const auto result =
      run_trial(beside_stand_ins, {.spec = spec_, .name = "late", .words = {}, .wait_s = 0}, 0.2);
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(jobs::read_file(dir_ / "cancelled"), "--name=late\n");
}

TEST_F(Trials, LocalRanksAreStartedAsAJobStartsThem) {
  const auto words = run("local", "mpirun");
  EXPECT_THAT(words, HasSubstr("<mpirun><-n><4><--bind-to><none><--oversubscribe>"
                               "</opt/a b/sluice-worker><probe><--path=/a 'b'>"));
  EXPECT_THAT(words, Not(HasSubstr("partition")));
}

}  // namespace
}  // namespace sluice::slurm
