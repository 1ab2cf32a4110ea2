// Oracle: limits written by hand into files laid out as the kernel lays them out (cgroups(7)).
#include "worker/machine.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace sluice::worker {
namespace {

namespace fs = std::filesystem;

struct Cgroup : testing::Test {
  fs::path dir = [] {
    std::string name = (fs::temp_directory_path() / "sluice-cgroup-XXXXXX").string();
    return fs::path(mkdtemp(name.data()));
  }();
  ~Cgroup() override { fs::remove_all(dir); }

  void put(const fs::path& file, const std::string& text) const {
    fs::create_directories((dir / file).parent_path());
    std::ofstream(dir / file) << text << '\n';
  }
  std::optional<std::uint64_t> limit() const {
    return cgroup_memory_limit_bytes(dir / "membership", dir / "fs");
  }
};

TEST_F(Cgroup, SmallestLimitFromTheProcessUpwardsCounts) {
  put("membership", "0::/slurm/job_7/step_0");
  put("fs/slurm/job_7/step_0/memory.max", "max");
  put("fs/slurm/job_7/memory.max", "4000000000");
  put("fs/slurm/memory.max", "9000000000");
  put("fs/slurm/job_8/memory.max", "1");
  EXPECT_EQ(limit(), 4000000000U);
}

TEST_F(Cgroup, VersionOneHasTheMemoryControllerAmongOthers) {
  put("membership", "5:cpu,cpuacct:/other\n4:pids,memory:/slurm/job_7\n0::/");
  put("fs/memory/slurm/job_7/memory.limit_in_bytes", "2000000000");
  put("fs/memory/memory.limit_in_bytes", "9223372036854771712");  // v1's word for no limit
  put("fs/memory/other/memory.limit_in_bytes", "1");
  EXPECT_EQ(limit(), 2000000000U);
}

TEST_F(Cgroup, GroupOutsideTheContainerLeavesTheContainersOwnLimit) {
  put("membership", "0::/docker/abc");
  put("fs/memory.max", "3000000000");
  EXPECT_EQ(limit(), 3000000000U);
}

TEST_F(Cgroup, NoFilesAreNoLimit) {
  EXPECT_EQ(limit(), std::nullopt);
  put("membership", "no such line\n0::/");
  EXPECT_EQ(limit(), std::nullopt);
}

TEST(Machine, HasSomeMemory) { EXPECT_GT(available_memory_bytes(), 1U << 20); }

}  // namespace
}  // namespace sluice::worker
