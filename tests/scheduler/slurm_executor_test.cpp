// Oracle: lines as squeue and sacct 22.05 print them, and the claim files of real scripts; the
// situations are those that lost answers and crashes of slurmctld leave behind.
#include "scheduler/slurm_executor.h"

#include <gmock/gmock.h>

#include "jobs/files.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::scheduler {
namespace {

using Kind = Sighting::Kind;
using slurm::Phase;

class SlurmExecutorTest : public testing::Test {
 protected:
  SlurmExecutorTest() {
    std::filesystem::create_directories(watch_.layout.claims_dir());
    watch_.attempt.attempt = 1;
    watch_.attempt.token = "0123456789abcdef";
    watch_.attempt.cluster_name = "x-0123456789abcdef";
    watch_.attempt.cluster_id = "42";
    watch_.attempt.intended_unix_s = 1'000'000;
  }

  slurm::CommandResult answer(const std::vector<std::string>& argv) {
    asked_.push_back(argv[0]);
    slurm::CommandResult result;
    result.exit_code = 0;
    if (argv[0] == "squeue" && squeue_down_) {
      result.exit_code = 1;
      result.err = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n";
    }
    if (argv[0] == "scontrol" && !scontrol_error_.empty()) {
      result.exit_code = 1;
      result.err = scontrol_error_;
    }
    if (argv[0] == "squeue") result.out = squeue_;
    if (argv[0] == "sinfo") result.out = sinfo_;
    if (argv[0] == "sacct") result.out = sacct_;
    return result;
  }
  Sighting look() {
    const auto executor = make_slurm_executor(
        [this](const auto& argv, const slurm::CommandOptions&) { return answer(argv); });
    return executor->observe({watch_}).at(0);
  }
  void claim(const std::string& id) {
    jobs::write_file_whole(watch_.layout.claim(1, watch_.attempt.token), id + " 0\n");
  }
  static std::string queued(const std::string& id, const std::string& state) {
    return id + "|x-0123456789abcdef|" + state + "|0|0|1000010|1000020|1000030|n1|None|\n";
  }
  static std::string kept(const std::string& id, const std::string& state) {
    return id + "|x-0123456789abcdef|" + state + "|0:0|1000010|1000020|1000030|n1|None\n";
  }

  tests::TempDir dir_;
  Watch watch_{.attempt = {}, .layout = jobs::Layout(dir_.path())};
  std::string squeue_, sacct_, sinfo_, scontrol_error_;
  bool squeue_down_ = false;
  std::vector<std::string> asked_;
};

TEST_F(SlurmExecutorTest, AsksAccountingOnlyForWhatTheQueueForgot) {
  squeue_ = queued("42", "RUNNING");
  EXPECT_EQ(look().status.phase, Phase::running);
  EXPECT_THAT(asked_, testing::ElementsAre("squeue"));
  squeue_.clear();
  sacct_ = kept("42", "COMPLETED");
  EXPECT_EQ(look().status.phase, Phase::succeeded);
  EXPECT_THAT(asked_, testing::ElementsAre("squeue", "squeue", "sacct"));
}

TEST_F(SlurmExecutorTest, IsAbsentOnlyWhenBothSaySo) {
  EXPECT_EQ(look().kind, Kind::absent);
  squeue_down_ = true;
  EXPECT_EQ(look().kind, Kind::unknown);
  EXPECT_NE(look().why, "");
}

TEST_F(SlurmExecutorTest, AnotherJobsNameIsNotOurs) {
  squeue_ = "42|somebody-else|RUNNING|0|0|1|2|3|n1|None|\n";
  EXPECT_EQ(look().kind, Kind::absent);
}

TEST_F(SlurmExecutorTest, OfTwinsTheClaimHolderCounts) {
  squeue_ = queued("42", "COMPLETED") + queued("43", "RUNNING");
  claim("43");
  EXPECT_EQ(look().status.id, "43");
  squeue_ = queued("42", "COMPLETED");
  EXPECT_EQ(look().kind, Kind::absent) << "the twin that left says nothing of the holder";
}

TEST_F(SlurmExecutorTest, OfTwinsWithoutAClaimTheLivingCounts) {
  squeue_ = queued("42", "CANCELLED") + queued("43", "PENDING");
  EXPECT_EQ(look().status.id, "43");
  squeue_ = queued("42", "CANCELLED") + queued("43", "FAILED");
  EXPECT_EQ(look().status.id, "42");
}

TEST_F(SlurmExecutorTest, AccountingsWordForAJobThatTheControllerLostIsStale) {
  sacct_ = kept("42", "PENDING");
  EXPECT_EQ(look().kind, Kind::absent);
}

TEST_F(SlurmExecutorTest, SubmitsWithThePathsThatTheUserHad) {
  std::vector<std::string> env;
  const auto executor = make_slurm_executor([&](const auto&, const slurm::CommandOptions& options) {
    env = options.env;
    return slurm::CommandResult{};
  });
  jobs::JobSpec spec;
  spec.submit_env = {{"PATH", "/mpi/bin"}};
  executor->submit(spec, watch_);
  EXPECT_THAT(env, testing::IsSupersetOf({"PATH=/mpi/bin", "LD_LIBRARY_PATH"}));
}

TEST_F(SlurmExecutorTest, AnUnknownIdIsNotCancelled) {
  watch_.attempt.cluster_id.clear();
  const auto executor = make_slurm_executor(
      [this](const auto& argv, const slurm::CommandOptions&) { return answer(argv); });
  EXPECT_TRUE(executor->cancel(watch_).has_value());
  EXPECT_TRUE(asked_.empty());
}

TEST_F(SlurmExecutorTest, MoreNodesThanThereAreIsAnObjection) {
  const auto executor = make_slurm_executor(
      [this](const auto& argv, const slurm::CommandOptions&) { return answer(argv); });
  jobs::JobSpec spec;
  spec.shape.nodes = 3;
  EXPECT_EQ(executor->objection(spec), std::nullopt) << "sinfo said nothing";
  sinfo_ = "4|big\n2|main*\n";
  EXPECT_THAT(executor->objection(spec).value_or(""), testing::HasSubstr("has only 2"));
  spec.cluster.partition = "big";
  sinfo_.clear();
  EXPECT_THAT(executor->objection(spec).value_or(""), testing::HasSubstr("none of that name"))
      << "sinfo knows no such partition and says nothing";
  sinfo_ = "4|big\n";
  EXPECT_EQ(executor->objection(spec), std::nullopt);
}

TEST_F(SlurmExecutorTest, OnlyAMissingConfigurationIsNoCluster) {
  const auto executor = make_slurm_executor(
      [this](const auto& argv, const slurm::CommandOptions&) { return answer(argv); });
  scontrol_error_ =
      "scontrol: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host\n"
      "scontrol: error: fetch_config: DNS SRV lookup failed\n"
      "scontrol: error: _establish_config_source: failed to fetch config\n"
      "scontrol: fatal: Could not establish a configuration source\n";
  EXPECT_EQ(executor->objection({}), "no Slurm cluster is configured here; use --executor local");
  scontrol_error_ = "Unable to contact slurm controller (connect failure)\n";
  EXPECT_EQ(executor->objection({}), std::nullopt);
}

}  // namespace
}  // namespace sluice::scheduler
