// Oracle: recorded answers of Slurm 22.05.8 (exit status and words as a real one gave them), each
// with what is known to have become of the job.
#include "slurm/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::slurm {
namespace {

using testing::Contains;
using testing::HasSubstr;
using Kind = SubmitAnswer::Kind;

CommandResult says(int exit_code, const std::string& out, const std::string& err) {
  CommandResult result;
  result.exit_code = exit_code;
  result.out = out;
  result.err = err;
  return result;
}

CommandResult timed_out(const std::string& out = "") {
  CommandResult result = says(137, out, "");
  result.timed_out = true;
  return result;
}

CommandResult not_found(const std::string& program) {
  CommandResult result = says(127, "", program + ": there is no such program on PATH");
  result.not_found = true;
  return result;
}

Client client_that(const CommandResult& result) {
  return Client([result](const auto&, const auto&) { return result; });
}

SubmitAnswer submit(const CommandResult& result) {
  return client_that(result).submit({"sbatch", "--parsable", "script.sh"});
}

TEST(Submit, IdAndExitStatusZeroIsAccepted) {
  const auto answer = submit(says(0, "48213\n", ""));
  EXPECT_EQ(answer.kind, Kind::accepted);
  EXPECT_EQ(answer.id, "48213");
}

TEST(Submit, WarningBesideTheIdIsKept) {
  const auto answer = submit(says(0, "48213;c\n", "sbatch: info: your account is nearly empty\n"));
  EXPECT_EQ(answer.kind, Kind::accepted);
  EXPECT_EQ(answer.id, "48213");
  EXPECT_THAT(answer.message, HasSubstr("nearly empty"));
}

TEST(Submit, ClearNoIsRefusedInSlurmsOwnWords) {
  const std::string failed = "sbatch: error: Batch job submission failed: ";
  for (const std::string& err : std::vector<std::string>{
           "sbatch: error: invalid partition specified: nope\n" + failed +
               "Invalid partition name specified\n",
           failed + "Requested node configuration is not available\n",
           failed + "Invalid node name specified\n", failed + "Invalid feature specification\n",
           failed + "Requested reservation is invalid\n",
           failed + "Invalid license specification\n",
           "sbatch: error: Invalid generic resource (gres) specification\n",
           failed + "Node count specification invalid\n", failed + "Job dependency problem\n",
           failed + "Requested time limit is invalid (missing or exceeds some limit)\n",
           failed + "More processors requested than permitted\n",
           failed + "Invalid account or account/partition combination specified\n",
           "sbatch: error: Invalid numeric value \"-3\" for --ntasks.\n",
           "sbatch: error: Unable to open file /missing\n"}) {
    const auto answer = submit(says(1, "", err));
    EXPECT_EQ(answer.kind, Kind::refused) << err;
    EXPECT_FALSE(answer.message.empty());
  }
  for (const char* err :
       {"sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information\n",
        "sbatch: error: Invalid --time specification\n",
        "sbatch: error: Invalid --mail-type specification\n"}) {
    EXPECT_EQ(submit(says(255, "", err)).kind, Kind::refused) << err;
  }
  EXPECT_EQ(submit(not_found("sbatch")).kind, Kind::refused);
}

TEST(Submit, AllElseMayBeQueued) {
  const std::string failed = "sbatch: error: Batch job submission failed: ";
  const std::vector<CommandResult> answers = {
      // queued all the same when slurmctld goes on: seen
      says(1, "", failed + "Socket timed out on send/recv operation\n"),
      says(1, "", failed + "Unable to contact slurm controller (connect failure)\n"),
      says(1, "", failed + "Protocol authentication error\n"),
      says(1, "48213\n", "sbatch: error: lost the terminal\n"),
      says(1, "48213\n", failed + "Invalid partition name specified\n"),
      says(1, "", "sbatch: error: something new in 26.05\n"),
      says(1, "", ""),
      says(137, "", ""),
      says(0, "", ""),
      says(0, "a banner of the site\n", ""),
      says(0, "1\n2\n", ""),
      timed_out(),
      timed_out("48213\n"),
  };
  for (const auto& answer : answers) {
    const auto said = submit(answer);
    EXPECT_EQ(said.kind, Kind::unknown) << answer.out << answer.err;
    EXPECT_FALSE(said.message.empty());
    EXPECT_EQ(said.id, "");
  }
}

TEST(Submit, UsersProfileCannotMakeItWaitOrAnArrayOrGoElsewhere) {
  CommandOptions seen;
  Client client([&](const auto&, const CommandOptions& options) {
    seen = options;
    return says(0, "1\n", "");
  });
  client.submit({"sbatch"}, {"PATH=/mpi/bin"});
  EXPECT_THAT(seen.env, Contains("PATH=/mpi/bin"));
  EXPECT_THAT(seen.env, Contains("SBATCH_WAIT"));
  EXPECT_THAT(seen.env, Contains("SBATCH_ARRAY_INX"));
  EXPECT_THAT(seen.env, Contains("SBATCH_CLUSTERS"));
  EXPECT_THAT(seen.env, Contains("SLURM_CLUSTERS"));
}

TEST(Queue, ListsOnlyTheJobsAskedFor) {
  const auto answer =
      client_that(says(0,
                       "7|a-1|RUNNING|0|0|1795365728|1795365729|1795366329|n1|None|\n"
                       "8|a-1|PENDING|0|0|1795365729|N/A|N/A||Priority|\n"
                       "9|someone-elses|RUNNING|0|0|1|1|1|n1|None|\n",
                       ""))
          .queue({"a-1", "b-2"});
  ASSERT_TRUE(answer.complete);
  ASSERT_EQ(answer.jobs.size(), 2u);  // a doubled submission shows
  EXPECT_EQ(answer.jobs[0].id, "7");
  EXPECT_EQ(answer.jobs[1].id, "8");
}

TEST(Queue, NoAnswerIsNotAnEmptyOne) {
  for (const auto& result :
       {says(1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"),
        timed_out(), not_found("squeue")}) {
    const auto answer = client_that(result).queue({"a-1"});
    EXPECT_FALSE(answer.complete);
    EXPECT_FALSE(answer.why.empty());
  }
  EXPECT_TRUE(client_that(says(0, "", "")).queue({"a-1"}).complete);
}

TEST(Queue, AnAnswerThatWasCutIsNoAnswer) {
  auto result = says(0, "7|a-1|RUNNING|0|0|1|1|1|n1|None|\n", "");
  result.truncated = true;
  EXPECT_FALSE(client_that(result).queue({"a-1", "b-2"}).complete) << "b-2 may have been cut off";
  EXPECT_THAT(client_that(result).queue({"a-1"}).why, HasSubstr("squeue listed more than 8 MiB"));
  EXPECT_FALSE(client_that(result).history({"a-1"}, 0).complete);
}

TEST(Queue, UsersProfileCannotHideJobs) {
  CommandOptions seen;
  Client client([&](const auto&, const CommandOptions& options) {
    seen = options;
    return says(0, "", "");
  });
  client.queue({"a-1"});
  EXPECT_THAT(seen.env, Contains("SLURM_TIME_FORMAT=%s"));
  EXPECT_THAT(seen.env, Contains("SQUEUE_PARTITION"));
  EXPECT_THAT(seen.env, Contains("SLURM_CLUSTERS"));
}

TEST(Queue, NobodyIsAskedAboutNothing) {
  Client client([](const auto&, const auto&) -> CommandResult {
    ADD_FAILURE() << "a command was run";
    return {};
  });
  EXPECT_TRUE(client.queue({}).complete);
  EXPECT_TRUE(client.history({}, 0).complete);
}

TEST(History, SiteWithoutAccountingKnowsNoMoreAndSaysSo) {
  const auto answer =
      client_that(says(1, "", "Slurm accounting storage is disabled\n")).history({"a-1"}, 0);
  EXPECT_TRUE(answer.complete);
  EXPECT_TRUE(answer.jobs.empty());
  EXPECT_EQ(answer.why, "Slurm accounting storage is disabled");
  EXPECT_TRUE(client_that(not_found("sacct")).history({"a-1"}, 0).complete);
}

TEST(History, DeadAccountingIsNoAnswer) {
  const auto answer =
      client_that(says(1, "",
                       "sacct: error: slurm_persist_conn_open_without_init: failed to open "
                       "persistent connection to host:head:6819: Connection refused\n"))
          .history({"a-1"}, 0);
  EXPECT_FALSE(answer.complete);
  EXPECT_FALSE(client_that(timed_out()).history({"a-1"}, 0).complete);
}

TEST(History, ReadsSacct) {
  const auto answer =
      client_that(says(0, "7|a-1|TIMEOUT|0:0|10|20|30|n[1-2]|None\n", "")).history({"a-1"}, 5);
  ASSERT_EQ(answer.jobs.size(), 1u);
  EXPECT_EQ(answer.jobs[0].phase, Phase::failed);
  EXPECT_EQ(answer.jobs[0].end_unix_s, 30);
}

TEST(Cancel, TakenWhenSlurmTookItOrThereIsNothingToCancel) {
  EXPECT_EQ(client_that(says(0, "", "")).cancel("7"), std::nullopt);
  EXPECT_EQ(client_that(
                says(1, "", "scancel: error: Kill job error on job id 7: Invalid job id specified"))
                .cancel("7"),
            std::nullopt);
}

TEST(Cancel, SaysWhyNot) {
  EXPECT_EQ(
      client_that(says(8, "", "scancel: error: Unable to contact slurm controller\n")).cancel("7"),
      "scancel: error: Unable to contact slurm controller");
  EXPECT_EQ(client_that(timed_out()).cancel("7"), "scancel gave no answer in time");
  EXPECT_EQ(client_that(says(140, "", "")).cancel("7"), "scancel exited with 140");
}

}  // namespace
}  // namespace sluice::slurm
