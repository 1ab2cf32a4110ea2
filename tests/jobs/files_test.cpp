// Oracle: what the file system holds afterwards.
#include "jobs/files.h"

#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "jobs/error.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::jobs {
namespace {

using testing::HasSubstr;

std::size_t entries(const std::filesystem::path& dir) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(dir), {}));
}

TEST(Files, WholeWriteReplacesAndLeavesNothingElse) {
  const tests::TempDir dir;
  const auto path = dir / "spec.json";
  const std::string bytes("two\0lines\n", 10);
  write_file_whole(path, "one");
  write_file_whole(path, bytes);
  EXPECT_EQ(read_file(path), bytes);
  EXPECT_EQ(entries(dir.path()), 1u);
}

TEST(Files, OnlyOneOfManyPublishersWins) {
  const tests::TempDir dir;
  const auto path = dir / "claim";
  constexpr int kPublishers = 8;
  int winners = 0;
  for (int i = 0; i < kPublishers; ++i) {
    if (::fork() == 0) ::_exit(publish_file_once(path, "publisher " + std::to_string(i)) ? 1 : 0);
  }
  for (int i = 0; i < kPublishers; ++i) {
    int status = 0;
    ::wait(&status);
    ASSERT_TRUE(WIFEXITED(status));
    winners += WEXITSTATUS(status);
  }
  EXPECT_EQ(winners, 1);
  EXPECT_THAT(read_file(path), testing::MatchesRegex("publisher [0-7]"));
  EXPECT_EQ(entries(dir.path()), 1u);
}

TEST(Files, RoomThatWasReservedIsThereOnAFullDisk) {
  const tests::TempDir dir;
  if (::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "a small disk to fill up can be mounted by root only";
  }
  const auto path = dir / "exit.json";
  const std::string more_than_fits(128 << 10, 'x'), record(4000, 'r');
  io::Fd room = reserve_room(dir.path());
  EXPECT_EQ(entries(dir.path()), 0u) << "a process that is killed leaves nothing behind";
  EXPECT_THROW(write_file_whole(dir / "filler", more_than_fits), Error);
  std::ofstream(dir / "filler") << more_than_fits;
  EXPECT_THROW(write_file_whole(path, record), Error);
  room = {};
  write_file_whole(path, record);
  EXPECT_EQ(read_file(path), record);
  EXPECT_EQ(entries(dir.path()), 2u);
  ::umount(dir.path().c_str());
}

TEST(Files, ErrorsNameThePathAndTheCause) {
  const tests::TempDir dir;
  const auto missing = dir / "no/such/file";
  const auto names_it = testing::ThrowsMessage<Error>(
      testing::AllOf(HasSubstr("no/such"), HasSubstr("No such file or directory")));
  EXPECT_THAT([&] { read_file(missing); }, names_it);
  EXPECT_THAT([&] { write_file_whole(missing, "x"); }, names_it);
  EXPECT_THAT([&] { publish_file_once(missing, "x"); }, names_it);
  EXPECT_THAT([&] { sync_directory(missing); }, names_it);
  EXPECT_THAT([&] { read_file(dir.path()); },
              testing::ThrowsMessage<Error>(HasSubstr("Is a directory")));
}

}  // namespace
}  // namespace sluice::jobs
