// Oracle: SQLite's own pragmas and integrity check; messages by hand.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "db/error.h"
#include "db/inspect.h"
#include "db/sqlite/migrations.h"
#include "db/sqlite/schema.h"
#include "jobs/file_system.h"
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
    EXPECT_EQ(store.journal_mode(), jobs::file_system_of(path).is_network ? "delete" : "wal");
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

TEST(Inspect, TellsOfADatabaseAndLeavesNothingBesideIt) {
  const tests::TempDir dir;
  const auto path = dir / "a b%?#.db";
  EXPECT_FALSE(inspect_database(path).exists);
  EXPECT_FALSE(std::filesystem::exists(path));
  {
    auto store = Store::open(path);
    tests::add_job(store);
    EXPECT_EQ(inspect_database(path).jobs, 1) << "while it is in use";
  }
  const auto facts = inspect_database(path);
  EXPECT_EQ(facts.problem, "");
  EXPECT_EQ(facts.lock_problem, "");
  EXPECT_EQ(facts.version, facts.newest_version);
  EXPECT_EQ(facts.jobs, 1);
  EXPECT_EQ(facts.journal_mode, jobs::file_system_of(path).is_network ? "delete" : "wal");
  const auto files = std::filesystem::directory_iterator(dir.path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST(Inspect, SaysWhatIsNoDatabaseOfOurs) {
  const tests::TempDir dir;
  const auto other = dir / "other.db", text = dir.write("text.db", std::string(2000, 'x'));
  tests::execute(other, "CREATE TABLE t (x)");
  EXPECT_THAT(inspect_database(other).problem, HasSubstr("belongs to another program"));
  EXPECT_THAT(inspect_database(text).problem, HasSubstr("not a database"));
  const auto newer = dir / "newer.db";
  Store::open(newer);
  tests::execute(newer, "PRAGMA user_version = 99");
  EXPECT_THAT(inspect_database(newer).problem, HasSubstr("schema version 99"));
  const auto older = dir / "older.db";
  tests::execute(older, std::string(sqlite::kTablesV1) + sqlite::kViewsV1 +
                            "PRAGMA application_id = " + std::to_string(sqlite::kApplicationId) +
                            "; PRAGMA user_version = 1;");
  EXPECT_EQ(inspect_database(older).version, 1);
  EXPECT_EQ(tests::query(older, "PRAGMA user_version"), "1") << "it is not migrated";
}

}  // namespace
}  // namespace sluice::db
