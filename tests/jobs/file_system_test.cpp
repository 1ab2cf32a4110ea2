// Oracle: the kernel's header; what a try to write says.
#include "jobs/file_system.h"

#include <gtest/gtest.h>
#include <linux/magic.h>

#include "tests/jobs/temp_dir.h"

namespace sluice::jobs {
namespace {

TEST(FileSystem, NetworkOnesAreKnownByTheirMagicNumbers) {
  for (const auto type : {0x6969u, 0xff534d42u, 0xfe534d42u, 0x0bd00bd0u, 0x47504653u, 0x19830326u,
                          0x00c36400u, 0x65735546u}) {
    EXPECT_TRUE(file_system_of_type(type).is_network) << std::hex << type;
  }
  for (const std::int64_t type :
       std::initializer_list<std::int64_t>{EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, TMPFS_MAGIC,
                                           BTRFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC}) {
    EXPECT_FALSE(file_system_of_type(static_cast<std::uint32_t>(type)).is_network);
  }
}

TEST(FileSystem, EveryKindHasAName) {
  EXPECT_EQ(file_system_of_type(NFS_SUPER_MAGIC).name, "nfs");
  EXPECT_EQ(file_system_of_type(0x0bd00bd0).name, "lustre");
  EXPECT_EQ(file_system_of_type(0x1234).name, "0x1234");
  EXPECT_TRUE(file_system_of_type(TMPFS_MAGIC).is_memory);
  EXPECT_EQ(file_system_of("/proc/version").name, "0x9fa0");
}

TEST(FileSystem, AFolderThatIsNotThereYetLiesWhereTheNextOneAboveDoes) {
  const tests::TempDir dir;
  EXPECT_EQ(nearest_existing(dir / "some/where/else"), dir.path());
  EXPECT_EQ(nearest_existing(dir.path()), dir.path());
  EXPECT_EQ(file_system_of(dir / "some/where").name, file_system_of(dir / "x").name);
}

TEST(FileSystem, AFolderOfTheSameNameHasAnotherIdentity) {
  const tests::TempDir dir;
  std::filesystem::create_directory(dir / "a");
  const auto first = identity_of(dir / "a");
  EXPECT_EQ(first.kind, "folder");
  EXPECT_EQ(identity_of(dir / "a").inode, first.inode);
  std::filesystem::rename(dir / "a", dir / "b");
  std::filesystem::create_directory(dir / "a");
  const auto second = identity_of(dir / "a");
  EXPECT_NE(std::pair(second.inode, second.born_ns), std::pair(first.inode, first.born_ns));
  EXPECT_EQ(identity_of(dir.write("f", "123")).bytes, 3);
  EXPECT_EQ(identity_of(dir / "none").kind, "none");
}

TEST(FileSystem, AskingWhetherAFolderIsWritableLeavesNothingInIt) {
  const tests::TempDir dir;
  EXPECT_TRUE(is_writable_folder(dir.path()));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  EXPECT_FALSE(is_writable_folder(dir / "none"));
  EXPECT_FALSE(is_writable_folder(dir.write("file", "")));
}

}  // namespace
}  // namespace sluice::jobs
