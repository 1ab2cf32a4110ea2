// Oracle: small machines drawn on paper.
#include "worker/cores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>

#include <filesystem>
#include <thread>

namespace sluice::worker {
namespace {

using testing::ElementsAre;

TEST(Cores, EachRankBeginsWithItsOwnShare) {
  const std::vector<int> machine{0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_THAT(core_preference(machine, 0, 2), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(core_preference(machine, 1, 2), ElementsAre(4, 5, 6, 7, 0, 1, 2, 3));
  EXPECT_THAT(core_preference({3, 9, 11}, 2, 3), ElementsAre(11, 3, 9));
}

TEST(Cores, LauncherThatGaveEachRankItsOwnCoreIsObeyed) {
  EXPECT_THAT(core_preference({6}, 3, 4), ElementsAre(6));
  EXPECT_THAT(core_preference({}, 0, 1), ElementsAre());
}

TEST(Cores, ListsAreShort) {
  EXPECT_EQ(core_list({}), "");
  EXPECT_EQ(core_list({3}), "3");
  EXPECT_EQ(core_list({8, 2, 0, 1, 3}), "0-3,8");
}

std::string new_lock_dir() {
  std::string dir = (std::filesystem::temp_directory_path() / "sluice-cores-XXXXXX").string();
  EXPECT_NE(mkdtemp(dir.data()), nullptr);
  return dir;
}

int cores_of_this_thread() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  return CPU_COUNT(&set);
}

TEST(Cores, HelperMayLeaveThePinnedCore) {
  const std::string dir = new_lock_dir();
  std::thread([&] {
    const int before = cores_of_this_thread();
    const Cores cores(0, 1, 1, dir);
    EXPECT_EQ(cores_of_this_thread(), 1);
    std::thread([&] {
      EXPECT_EQ(cores_of_this_thread(), 1) << "inherited";
      cores.unpin_thread();
      EXPECT_EQ(cores_of_this_thread(), before);
    }).join();
    EXPECT_EQ(cores_of_this_thread(), 1);
  }).join();
  std::filesystem::remove_all(dir);
}

TEST(Cores, HeldCoreIsNotGivenTwice) {
  const std::string dir = new_lock_dir();
  // Threads: each has a mask of its own, which the pinning narrows.
  std::vector<std::vector<int>> pinned(3);
  std::thread([&] {
    const Cores first(0, 1, 1, dir);
    pinned[0] = first.pinned();
    std::thread([&] { pinned[1] = Cores(0, 1, 1, dir).pinned(); }).join();  // inherits the one core
  }).join();
  std::thread([&] { pinned[2] = Cores(0, 1, 1, dir).pinned(); }).join();
  std::filesystem::remove_all(dir);
  EXPECT_EQ(pinned[0].size(), 1U);
  EXPECT_EQ(pinned[1].size(), 0U);
  EXPECT_EQ(pinned[2], pinned[0]);  // free again
}

TEST(Cores, AsManyAreHeldAsThereAreThreads) {
  std::string dir = (std::filesystem::temp_directory_path() / "sluice-cores-XXXXXX").string();
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  std::vector<int> pinned, left;
  std::thread([&] {
    const Cores one(0, 1, 1, dir);
    std::thread([&] { left = Cores(0, 1, 2, dir).pinned(); }).join();  // inherits the one core
  }).join();
  std::thread([&] { pinned = Cores(0, 1, 2, dir).pinned(); }).join();
  std::filesystem::remove_all(dir);
  EXPECT_EQ(pinned.size(), std::min(2U, std::thread::hardware_concurrency()));
  EXPECT_EQ(left.size(), 0U);
}

}  // namespace
}  // namespace sluice::worker
