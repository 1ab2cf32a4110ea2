// Oracle: this machine, as the system's own calls tell it; folders made by hand.
#include "worker/probe.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "jobs/file_system.h"
#include "jobs/files.h"
#include "tests/jobs/temp_dir.h"
#include "worker/cores.h"
#include "worker/machine.h"
#include "worker/pipeline/local_link.h"

namespace sluice::worker {
namespace {

// What rank 0 of a world of threads prints.
nlohmann::json probe_of(int ranks, const ProbeOptions& options) {
  pipeline::LocalWorld world(ranks);
  std::vector<std::ostringstream> outs(static_cast<std::size_t>(ranks)), logs(outs.size());
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        const auto link = world.link(rank);
        const auto at = static_cast<std::size_t>(rank);
        probe(options, *link, {.host = "here", .local_rank = rank, .local_size = ranks}, outs[at],
              logs[at]);
      });
    }
  }
  for (std::size_t i = 1; i < outs.size(); ++i) EXPECT_EQ(outs[i].str() + logs[i].str(), "");
  EXPECT_EQ(std::ranges::count(outs[0].str(), '\n'), 1);
  return nlohmann::json::parse(outs[0].str());
}

TEST(Probe, RankZeroTellsWhatEveryRankSees) {
  const auto told = probe_of(3, {});
  EXPECT_EQ(told["sluice_probe"], 1);
  EXPECT_EQ(told["ranks"], 3);
  ASSERT_EQ(told["seen"].size(), 3U);
  for (int rank = 0; rank < 3; ++rank) {
    const auto& seen = told["seen"][static_cast<std::size_t>(rank)];
    EXPECT_EQ(seen["rank"], rank);
    EXPECT_EQ(seen["version"], SLUICE_VERSION);
    EXPECT_EQ(seen["host"], "here");
    EXPECT_EQ(seen["local_rank"], rank);
    EXPECT_EQ(seen["cores"], core_list(allowed_cores()));
    EXPECT_EQ(seen["cpu"], cpu_model());
    EXPECT_GT(seen["memory_bytes"], 0);
    EXPECT_EQ(seen["round_trip_s"] > 0.0, rank > 0);
    EXPECT_NEAR(seen["clock_s"].get<double>(), jobs::unix_time_s() - jobs::steady_time_s(), 0.5);
  }
}

TEST(Probe, EachPathIsSeenAsItIs) {
  const tests::TempDir dir;
  const auto file = dir.write("file", "12345");
  const auto told = probe_of(2, {.paths = {dir.path(), file, dir / "none", "\xff"}});
  for (const auto& seen : told["seen"]) {
    const auto& paths = seen["paths"];
    ASSERT_EQ(paths.size(), 4U);
    EXPECT_EQ(paths[0]["kind"], "folder");
    EXPECT_EQ(paths[0]["writable"], true);
    struct stat info {};
    ASSERT_EQ(::stat(dir.path().c_str(), &info), 0);
    EXPECT_EQ(paths[0]["inode"], info.st_ino);
    EXPECT_EQ(paths[0]["born_ns"], jobs::identity_of(dir.path()).born_ns);
    EXPECT_EQ(paths[1]["kind"], "file");
    EXPECT_EQ(paths[1]["readable"], true);
    EXPECT_EQ(paths[1]["bytes"], 5);
    EXPECT_EQ(paths[2]["kind"], "none");
    EXPECT_EQ(paths[2]["readable"], false);
    EXPECT_EQ(paths[2]["writable"], false);
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

}  // namespace
}  // namespace sluice::worker
