// Oracle: SQLite's own pragmas and integrity check; messages by hand.
#include <gmock/gmock.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "db/error.h"
#include "db/sqlite/file_system.h"
#include "db/sqlite/migrations.h"
#include "db/sqlite/schema.h"
#include "tests/db/fixture.h"

namespace sluice::db {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Open, CreatesFoldersAndTablesOnce) {
  const tests::TempDir dir;
  const auto path = dir / "some/where/sluice.db";
  const auto id = [&] {
    auto store = Store::open(path);
    EXPECT_EQ(store.journal_mode(), sqlite::is_on_network(path) ? "delete" : "wal");
    return tests::add_job(store);
  }();
  EXPECT_EQ(Store::open(path).job(id)->name, "demo");
  EXPECT_EQ(tests::query(path, "PRAGMA user_version"), std::to_string(sqlite::newest_version()));
  EXPECT_EQ(tests::query(path, "PRAGMA integrity_check"), "ok");
  EXPECT_EQ(tests::query(path, "PRAGMA foreign_key_check"), "");
}

TEST(Open, ADatabaseThatMovedToANetworkFileSystemLosesItsWal) {
  const tests::TempDir dir;
  const auto path = dir / "sluice.db";
  tests::execute(path, "PRAGMA journal_mode = WAL; CREATE TABLE t (x)");
  SQLite::Database database(path.string(), SQLite::OPEN_READWRITE);
  sqlite::set_journal_mode(database, "delete", 1000);
  EXPECT_EQ(tests::query(path, "PRAGMA journal_mode"), "delete");
  EXPECT_FALSE(std::filesystem::exists(dir / "sluice.db-wal"));
}

TEST(Open, MigratesWhatAnOlderSluiceMade) {
  const tests::TempDir dir;
  const auto path = dir / "sluice.db";
  tests::execute(path, std::string(sqlite::kTablesV1) + sqlite::kViewsV1 +
                           "PRAGMA application_id = " + std::to_string(sqlite::kApplicationId) +
                           "; PRAGMA user_version = 1;");
  tests::execute(path,
                 "PRAGMA foreign_keys = OFF;"
                 "INSERT INTO metrics (job, attempt, restart, wall_clock_s, prompts_ok, "
                 "prompts_failed, prompt_tokens, output_tokens, wasted_tokens) "
                 "VALUES (1, 1, 0, 2.5, 3, 0, 4, 5, 0)");
  const auto store = Store::open(path);
  EXPECT_EQ(tests::query(path, "PRAGMA user_version"), std::to_string(sqlite::newest_version()));
  const auto metrics = store.run_metrics(1, {1, 0});
  EXPECT_EQ(metrics->wall_clock_s, 2.5);
  EXPECT_TRUE(std::isnan(metrics->micro_batch_occupancy)) << "nobody measured it";
  EXPECT_EQ(tests::query(path, "SELECT count(micro_batch_occupancy) FROM v_stages"), "0");
}

TEST(Open, RefusesWhatANewerSluiceMade) {
  const tests::TempDir dir;
  const auto path = dir / "sluice.db";
  Store::open(path);
  const std::string newer = std::to_string(sqlite::newest_version() + 1);
  tests::execute(path, "PRAGMA user_version = " + newer);
  EXPECT_THAT(
      [&] { Store::open(path); },
      ThrowsMessage<Error>(AllOf(HasSubstr(path.string()), HasSubstr("schema version " + newer),
                                 HasSubstr("newer Sluice"))));
  EXPECT_EQ(tests::query(path, "PRAGMA user_version"), newer);
}

TEST(Open, LeavesOtherProgramsFilesAlone) {
  const tests::TempDir dir;
  const auto text = dir.write("notes.db",
                              "these are my notes, longer than a header of SQLite's "
                              "which has one hundred bytes: 0123456789012345678901");
  EXPECT_THAT([&] { Store::open(text); },
              ThrowsMessage<Error>(AllOf(HasSubstr("notes.db"), HasSubstr("no SQLite database"))));
  const auto other = dir / "other.db";
  tests::execute(other, "CREATE TABLE theirs (x)");
  EXPECT_THAT([&] { Store::open(other); },
              ThrowsMessage<Error>(HasSubstr("belongs to another program")));
  EXPECT_EQ(tests::query(other, "SELECT count(*) FROM sqlite_master"), "1");
  EXPECT_EQ(tests::query(other, "PRAGMA journal_mode"), "delete");
}

TEST(Open, SaysWhatIsInTheWay) {
  const tests::TempDir dir;
  EXPECT_THAT([&] { Store::open(dir.path()); },
              ThrowsMessage<Error>(HasSubstr("must be writable")));
  dir.write("file", "");
  EXPECT_THAT([&] { Store::open(dir / "file/sluice.db"); },
              ThrowsMessage<Error>(HasSubstr("cannot create the folder")));
}

TEST(Open, ADamagedFileIsToldWithWhatCanBeDone) {
  const tests::TempDir dir;
  const auto path = dir / "sluice.db";
  Store::open(path);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);  // behind the header
    file << std::string(4000, '\xff');
  }
  EXPECT_THAT([&] { Store::open(path); },
              ThrowsMessage<Error>(AllOf(HasSubstr("restore a backup"), HasSubstr("results/"))));
}

// The kernel's limit on file sizes stands for a full disk: in a child, because it cannot be undone.
TEST(Open, AFullDiskIsAnErrorAndLosesNothing) {
  const tests::TempDir dir;
  const auto path = dir / "sluice.db";
  int told[2];
  ASSERT_EQ(::pipe(told), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    auto store = Store::open(path);
    const rlimit limit{.rlim_cur = 300'000, .rlim_max = 300'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::int64_t jobs = 0;
    std::string message;
    try {
      for (;; ++jobs) tests::add_job(store);
    } catch (const Error& error) {
      message = error.what();
    }
    const auto report = std::to_string(jobs) + " " + message;
    ::_exit(::write(told[1], report.data(), report.size()) < 0);
  }
  ::close(told[1]);
  std::string report(4096, '\0');
  report.resize(
      static_cast<std::size_t>(std::max<ssize_t>(::read(told[0], report.data(), 4096), 0)));
  ::close(told[0]);
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(report, HasSubstr("cannot create a job in the database " + path.string()));
  EXPECT_EQ(tests::query(path, "PRAGMA integrity_check"), "ok");
  EXPECT_EQ(Store::open(path).all_jobs().size(), std::stoul(report));
}

TEST(FileSystem, NetworkOnesAreKnownByTheirMagicNumbers) {
  for (const auto type : {0x6969u, 0xff534d42u, 0xfe534d42u, 0x0bd00bd0u, 0x47504653u, 0x19830326u,
                          0x00c36400u, 0x65735546u}) {
    EXPECT_TRUE(sqlite::is_network_file_system(type)) << std::hex << type;
  }
  for (const std::int64_t type :
       std::initializer_list<std::int64_t>{EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, TMPFS_MAGIC,
                                           BTRFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC}) {
    EXPECT_FALSE(sqlite::is_network_file_system(static_cast<std::uint32_t>(type)));
  }
}

}  // namespace
}  // namespace sluice::db
