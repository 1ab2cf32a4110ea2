#include "db/sqlite/schema.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <array>
#include <chrono>
#include <thread>

#include "db/error.h"
#include "db/sqlite/migrations.h"

namespace sluice::db::sqlite {
namespace {

// Step i leads from version i to version i + 1.
struct Step {
  const char *tables, *views;
};
const std::array<Step, 6> kSteps = {{{kTablesV1, kViewsV1},
                                     {kTablesV2, kViewsV2},
                                     {kTablesV3, kViewsV3},
                                     {kTablesV4, kViewsV4},
                                     {kTablesV5, kViewsV5},
                                     {kTablesV6, kViewsV6}}};

int pragma(SQLite::Database& database, const char* name) {
  return database.execAndGet("PRAGMA " + std::string(name)).getInt();
}

void set_pragma(SQLite::Database& database, const char* name, int value) {
  database.exec("PRAGMA " + std::string(name) + " = " + std::to_string(value));
}

}  // namespace

int newest_version() { return static_cast<int>(kSteps.size()); }

void check_is_ours(SQLite::Database& database) {
  const std::string file = database.getFilename();
  const int version = pragma(database, "user_version");
  const bool is_empty = database.execAndGet("SELECT count(*) FROM sqlite_master").getInt() == 0;
  if (!is_empty && pragma(database, "application_id") != kApplicationId) {
    throw Error("the database " + file +
                " belongs to another program: name another file (--db, SLUICE_DB)");
  }
  if (version > newest_version()) {
    throw Error("the database " + file + " has schema version " + std::to_string(version) +
                ", this program knows " + std::to_string(newest_version()) +
                ": use the newer Sluice that made it");
  }
}

void set_journal_mode(SQLite::Database& database, const std::string& mode, int timeout_ms) {
  using std::chrono::steady_clock, std::chrono::milliseconds;
  if (database.execAndGet("PRAGMA journal_mode").getString() == mode) return;
  const auto deadline = steady_clock::now() + milliseconds(timeout_ms);
  // SQLite does not wait for this lock by itself.
  for (;;) {
    try {
      database.exec("PRAGMA journal_mode = " + mode);
      return;
    } catch (const SQLite::Exception& error) {
      if (error.getErrorCode() != SQLITE_BUSY || steady_clock::now() > deadline) throw;
      std::this_thread::sleep_for(milliseconds(10));
    }
  }
}

void migrate(SQLite::Database& database) {
  while (pragma(database, "user_version") < newest_version()) {
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    check_is_ours(database);  // again: what was empty a moment ago may be someone's now
    const int version = pragma(database, "user_version");
    if (version == newest_version()) return;  // another process was faster
    const Step& step = kSteps[static_cast<std::size_t>(version)];
    database.exec(step.tables);
    database.exec(step.views);
    set_pragma(database, "application_id", kApplicationId);
    set_pragma(database, "user_version", version + 1);
    transaction.commit();
  }
}

}  // namespace sluice::db::sqlite
