// Oracle: what Slurm 22.05.8 printed on a real cluster of virtual nodes (tests/data/slurm/), and
// the job states of slurm.h.
#include "slurm/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/slurm/files.h"

namespace sluice::slurm {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using tests::read_text;

std::string data(const std::string& name) {
  return read_text(std::string(SLUICE_TEST_DATA) + "/slurm/" + name);
}

JobStatus job_named(const std::vector<JobStatus>& jobs, const std::string& name) {
  for (const auto& job : jobs) {
    if (job.name == name) return job;
  }
  ADD_FAILURE() << "no job " << name;
  return {};
}

TEST(PhaseOf, EveryWordOfSlurmH) {
  const std::map<Phase, std::vector<std::string>> words = {
      {Phase::pending,
       {"PENDING", "PD", "CONFIGURING", "CF", "REQUEUE_HOLD", "RH", "SPECIAL_EXIT", "SE",
        "RESV_DEL_HOLD", "RD", "POWER_UP_NODE", "PU"}},
      {Phase::running,
       {"RUNNING", "R", "SUSPENDED", "S", "COMPLETING", "CG", "RESIZING", "RS", "SIGNALING", "SI",
        "STAGE_OUT", "SO", "STOPPED", "ST", "REVOKED", "RV", "EXPEDITING"}},
      {Phase::succeeded, {"COMPLETED", "CD"}},
      {Phase::failed,
       {"FAILED", "F", "TIMEOUT", "TO", "NODE_FAIL", "NF", "PREEMPTED", "PR", "BOOT_FAIL", "BF",
        "DEADLINE", "DL", "OUT_OF_MEMORY", "OOM"}},
      {Phase::cancelled, {"CANCELLED", "CA", "CANCELLED by 0", "CANCELLED by 4294967295"}},
      {Phase::requeued, {"REQUEUED", "RQ", "REQUEUE_FED", "RF"}},
      {Phase::unknown, {"", "?", "NEW_IN_26", "completed", "COMPLETED+", "FAILEDX", "FAIL", " F"}},
  };
  for (const auto& [phase, of_phase] : words) {
    for (const auto& word : of_phase) EXPECT_EQ(phase_of(word), phase) << word;
  }
}

TEST(ParseSbatch, FindsTheIdAmongWhateverElseStandsThere) {
  EXPECT_EQ(parse_sbatch("48213\n"), "48213");
  EXPECT_EQ(parse_sbatch("48213"), "48213");
  EXPECT_EQ(parse_sbatch("48213;cluster2\n"), "48213");
  EXPECT_EQ(parse_sbatch("Submitted batch job 48213\n"), "48213");
  EXPECT_EQ(parse_sbatch("Submitted batch job 48213 on cluster c\r\n"), "48213");
  EXPECT_EQ(parse_sbatch("Welcome to ACME HPC!\nyour quota: 12 %\n48213\n"), "48213");
}

TEST(ParseSbatch, NoIdIsNoId) {
  for (const char* out : {"", "\n", "sbatch: error", "12 %\n", "job48213\n", "-3\n", "1\n2\n",
                          "99999999999999999999999999\n"}) {
    EXPECT_EQ(parse_sbatch(out), std::nullopt) << out;
  }
}

TEST(SqueueArgv, AsksForAllStatesByNameInOneCommand) {
  EXPECT_THAT(squeue_argv({"a-1", "b-2"}),
              ElementsAre("squeue", "--noheader", "--states=all", "--name=a-1,b-2",
                          HasSubstr("--Format=JobID:|,Name:|,State:|,exit_code:|")));
}

TEST(QueryArgv, LongListsBecomeAllMyJobs) {
  const std::vector<std::string> names(kNamesInQueryMax + 1, "name-0123456789abcdef");
  EXPECT_THAT(squeue_argv(names), Contains("--me"));
  EXPECT_THAT(squeue_argv(names), Not(Contains(HasSubstr("--name"))));
  EXPECT_THAT(sacct_argv(names, 0), Not(Contains(HasSubstr("--name"))));
  EXPECT_THAT(sacct_argv({"a"}, 1795365728.9), Contains("--starttime=uts1795365728"));
}

TEST(ParseSqueue, RealOutput) {
  const auto jobs = parse_squeue(data("squeue-22.05.txt"));
  EXPECT_EQ(jobs.size(), 7u);
  const auto running = job_named(jobs, "run-b1");
  EXPECT_EQ(running.phase, Phase::running);
  EXPECT_EQ(running.state, "RUNNING");
  EXPECT_EQ(running.nodes, "n[1-2]");
  EXPECT_EQ(running.reason, "");
  EXPECT_EQ(running.restarts, 1);
  EXPECT_GT(running.submit_unix_s, 1.7e9);
  EXPECT_GE(running.start_unix_s, running.submit_unix_s);
  const auto failed = job_named(jobs, "fail-c1");
  EXPECT_EQ(failed.phase, Phase::failed);
  EXPECT_EQ(failed.exit_code, "200:0");
  EXPECT_EQ(failed.reason, "NonZeroExitCode");
  const auto pending = job_named(jobs, "wait-d1");
  EXPECT_EQ(pending.phase, Phase::pending);
  EXPECT_EQ(pending.start_unix_s, 0);
  EXPECT_EQ(pending.nodes, "");
  EXPECT_EQ(pending.reason, "PartitionConfig");
  EXPECT_EQ(job_named(jobs, "kill-e1").exit_code, "0:9");
  EXPECT_EQ(job_named(jobs, "cancel-f1").phase, Phase::cancelled);
  EXPECT_EQ(job_named(jobs, "good-a1").phase, Phase::succeeded);
  EXPECT_EQ(job_named(jobs, "never-g1").reason, "BadConstraints");
}

TEST(ParseSacct, RealOutput) {
  const auto jobs = parse_sacct(data("sacct-22.05.txt"));
  EXPECT_EQ(jobs.size(), 7u);
  const auto cancelled = job_named(jobs, "cancel-f1");
  EXPECT_EQ(cancelled.state, "CANCELLED by 0");
  EXPECT_EQ(cancelled.phase, Phase::cancelled);
  EXPECT_EQ(cancelled.nodes, "");
  EXPECT_GT(cancelled.end_unix_s, 1.7e9);
  const auto running = job_named(jobs, "run-b1");
  EXPECT_EQ(running.phase, Phase::running);
  EXPECT_EQ(running.end_unix_s, 0);
  EXPECT_EQ(running.nodes, "n[1-2]");
  EXPECT_EQ(job_named(jobs, "fail-c1").exit_code, "72:0");  // 200 & 127
}

TEST(ParseSqueue, ReasonMayHoldTheDelimiter) {
  const auto jobs = parse_squeue("7|n|PENDING|0|0|1|N/A|N/A||a | b (c) |\n");
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].reason, "a | b (c) ");
}

TEST(ParseSqueue, UnknownStateIsKeptAsItIs) {
  const auto jobs = parse_squeue("7|n|HIBERNATING|0:0|2|1|2|3|n1|None|");
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].state, "HIBERNATING");
  EXPECT_EQ(jobs[0].phase, Phase::unknown);
  EXPECT_EQ(jobs[0].exit_code, "0:0");
  EXPECT_EQ(jobs[0].restarts, 2);
}

TEST(Parsers, BannersAndTornLinesAreNoJobs) {
  const std::string noise = "Welcome!\n\n7|torn|RUNNING\n|||||||||||\nx|y|z|1|2|3|4|5|6|7|\n";
  EXPECT_TRUE(parse_squeue(noise).empty());
  EXPECT_TRUE(parse_sacct(noise).empty());
}

// ASan and UBSan watch.
TEST(Parsers, AnyBytesAreRead) {
  constexpr unsigned kSeed = 20240611;
  std::mt19937 random(kSeed);
  const std::string real = data("squeue-22.05.txt") + data("sacct-22.05.txt");
  for (int round = 0; round < 2000; ++round) {
    std::string text = real.substr(random() % real.size(), random() % 400);
    for (int change = 0; change < 8 && !text.empty(); ++change) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    parse_squeue(text);
    parse_sacct(text);
    parse_sbatch(text);
    phase_of(text);
  }
}

}  // namespace
}  // namespace sluice::slurm
