// Oracle: what Slurm 22.05.8 prints (tests/data/slurm), and texts that nobody should trust.
#include "slurm/site.h"

#include <gmock/gmock.h>

#include "tests/slurm/files.h"

namespace sluice::slurm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string recorded(const char* name) {
  return tests::read_text(std::filesystem::path(SLUICE_TEST_DATA) / "slurm" / name);
}

TEST(Version, IsReadWhateverThePackageIsCalled) {
  const auto version = parse_version("slurm-wlm 22.05.8\n").value();
  EXPECT_EQ(version.major, 22);
  EXPECT_EQ(version.minor, 5);
  EXPECT_EQ(version.text, "22.05.8");
  EXPECT_EQ(parse_version("slurm 24.11.5")->minor, 11);
  for (const char* other :
       {"", "sbatch", "slurm", "slurm x.y", "torque 6.1", "slurm 22", "slurm 99999999999.1"}) {
    EXPECT_FALSE(parse_version(other)) << other;
  }
}

TEST(SiteConfig, ValuesAreFoundByNameWithTheirNumbers) {
  const auto config = SiteConfig::parse(recorded("config-22.05.txt"));
  EXPECT_EQ(config.text("MpiDefault"), "pmix");
  EXPECT_EQ(config.number("KillWait"), 2);
  EXPECT_EQ(config.number("MinJobAge"), 300);
  EXPECT_EQ(config.number("JobRequeue"), 1);
  EXPECT_EQ(config.number_in("AuthInfo", "cred_expire"), 5);
  EXPECT_EQ(config.text("JobSubmitPlugins"), "") << "(null)";
  EXPECT_EQ(config.text("NoSuchThing"), "");
  EXPECT_FALSE(config.number("MpiDefault"));
  EXPECT_FALSE(config.number_in("AuthInfo", "socket"));
  EXPECT_FALSE(config.number_in("AuthInfo", "ttl"));
}

TEST(SiteConfig, OddTextLeavesNoValues) {
  EXPECT_TRUE(SiteConfig::parse("").empty());
  EXPECT_TRUE(SiteConfig::parse("no equals\n = 3\ntwo words = 3\n\n").empty());
  const auto config = SiteConfig::parse("A=1\nA=2\nB = 99999999999999999999 sec");
  EXPECT_EQ(config.text("A"), "1");
  EXPECT_FALSE(config.number("B"));
}

TEST(Partitions, LinesOfUnlikeNodesAreAddedUp) {
  const auto partitions = parse_partitions(
      "main*|up|1:00:00|1/2/1/4|16\nlow|down|infinite|0/0/2/2|2+\nmain*|up|1:00:00|0/1/0/1|8\n");
  ASSERT_EQ(partitions.size(), 2U);
  EXPECT_EQ(partitions[0].name, "main");
  EXPECT_TRUE(partitions[0].is_default);
  EXPECT_EQ(partitions[0].limit_s, 3600);
  EXPECT_EQ(partitions[0].nodes, 5);
  EXPECT_EQ(partitions[0].idle_nodes, 3);
  EXPECT_EQ(partitions[0].usable_nodes, 4);
  EXPECT_EQ(partitions[0].cores, 8);
  EXPECT_EQ(partitions[1].state, "down");
  EXPECT_EQ(partitions[1].limit_s, 0);
  EXPECT_EQ(partitions[1].usable_nodes, 0);
}

TEST(Partitions, OddLinesAreLeftOutAndHugeNumbersBounded) {
  EXPECT_THAT(parse_partitions("welcome to the cluster\n|up|1|1/1/1/1|2\na|b|c\n"), IsEmpty());
  const auto huge = parse_partitions(
      "a|up|1|4000000000/4000000000/0/4000000000|9\na|up|1|4000000000/1/0/4000000000|9\n");
  ASSERT_EQ(huge.size(), 1U);
  EXPECT_GT(huge[0].nodes, 1'000'000'000);
  EXPECT_GE(huge[0].usable_nodes, huge[0].idle_nodes);
}

TEST(Ping, TellsWhichControllersAreUp) {
  const auto both = parse_ping("Slurmctld(primary) at a is DOWN\nSlurmctld(backup) at b is UP\n");
  ASSERT_EQ(both.size(), 2U);
  EXPECT_FALSE(both[0].is_up);
  EXPECT_TRUE(both[1].is_up);
  EXPECT_THAT(parse_ping("error: no configuration"), IsEmpty());
}

TEST(MpiList, PluginsAreTheWordsAndTheVersionsOfPmix) {
  EXPECT_THAT(parse_mpi_list(recorded("mpi-list-22.05.txt")),
              ElementsAre("pmix", "none", "cray_shasta", "pmi2", "pmix_v4"));
  EXPECT_THAT(parse_mpi_list("srun: MPI types are...\nsrun: none\nsrun: pmix_v3\n"),
              ElementsAre("none", "pmix_v3"));
  EXPECT_THAT(parse_mpi_list(""), IsEmpty());
}

TEST(MpiList, TheLauncherNamesItsPlugin) {
  EXPECT_EQ(mpi_plugin_in("srun --mpi=pmix"), "pmix");
  EXPECT_EQ(mpi_plugin_in("srun --cpu-bind=none --mpi pmi2 -v"), "pmi2");
  EXPECT_EQ(mpi_plugin_in("srun"), "");
}

}  // namespace
}  // namespace sluice::slurm
