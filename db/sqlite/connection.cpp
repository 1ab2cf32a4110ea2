#include "db/sqlite/connection.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <cmath>
#include <limits>
#include <system_error>

#include "db/error.h"
#include "db/sqlite/schema.h"
#include "jobs/file_system.h"

namespace sluice::db::sqlite {
namespace {

constexpr int kBusyTimeoutMs = 30'000;

std::string_view fix_for(int code) {
  switch (code) {
    case SQLITE_NOTADB:
      return "; the file is no SQLite database: name another one (--db, SLUICE_DB) or move it away";
    case SQLITE_CORRUPT:
      return "; the file is damaged: restore a backup, or move it away and submit anew; the "
             "answers so "
             "far are safe in the job directories, under results/";
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return "; the file and its folder must be writable: check their permissions (--db, "
             "SLUICE_DB)";
    case SQLITE_FULL:
      return "; the disk or quota is full: make room and repeat the command";
    case SQLITE_IOERR:
      return "; the disk or quota may be full, or the disk failing: see df, then repeat the "
             "command";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "; another process has held the lock for 30 s: find it with `fuser` and try again";
    default:
      return "";
  }
}

[[noreturn]] void throw_error(std::string_view tried, const std::filesystem::path& path,
                              const SQLite::Exception& error) {
  throw Error("cannot " + std::string(tried) + " in the database " + path.string() + ": " +
              error.what() + std::string(fix_for(error.getErrorCode())));
}

const char* journal_mode_for(const std::filesystem::path& path) {
  return jobs::file_system_of(path).is_network ? "delete" : "wal";
}

void create_folders(const std::filesystem::path& path) {
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) {
    throw Error("cannot create the folder " + path.parent_path().string() +
                " of the database: " + error.message());
  }
}

}  // namespace

Statement::Statement(std::unique_ptr<SQLite::Statement> statement)
    : statement_(std::move(statement)) {}
Statement::Statement(Statement&&) noexcept = default;
Statement::~Statement() = default;

bool Statement::step() {
  column_ = 0;
  return statement_->executeStep();
}

int Statement::run() {
  const int changed = statement_->exec();
  rewind();
  return changed;
}

void Statement::rewind() {
  statement_->reset();
  parameter_ = 0;
}

void Statement::bind_null() { statement_->bind(++parameter_); }
void Statement::bind_next(int value) { statement_->bind(++parameter_, value); }
void Statement::bind_next(std::int64_t value) { statement_->bind(++parameter_, value); }
void Statement::bind_next(double value) { statement_->bind(++parameter_, value); }
void Statement::bind_next(const std::string& value) { statement_->bind(++parameter_, value); }
void Statement::bind_next(jobs::JobState value) { bind_next(std::string(to_string(value))); }
void Statement::bind_next(jobs::EventKind value) { bind_next(std::string(to_string(value))); }
void Statement::bind_next(jobs::FinishReason value) { bind_next(std::string(to_string(value))); }

bool Statement::is_null() const { return statement_->getColumn(column_).isNull(); }
void Statement::read(bool& value) { value = statement_->getColumn(column_++).getInt() != 0; }
void Statement::read(int& value) { value = statement_->getColumn(column_++).getInt(); }
void Statement::read(std::int64_t& value) { value = statement_->getColumn(column_++).getInt64(); }
void Statement::read(double& value) {
  value = is_null() ? std::numeric_limits<double>::quiet_NaN()
                    : statement_->getColumn(column_).getDouble();
  skip();
}
void Statement::read(std::string& value) { value = statement_->getColumn(column_++).getString(); }

// A word that this version does not know can only come from a hand that edited the file.
template <class Value>
void read_word(Statement& statement, Value& value,
               std::optional<Value> (*parse)(std::string_view)) {
  std::string word;
  statement.read(word);
  const auto parsed = parse(word);
  if (!parsed) throw Error("the database holds the unknown word \"" + word + "\"");
  value = *parsed;
}
void Statement::read(jobs::JobState& value) { read_word(*this, value, jobs::parse_job_state); }
void Statement::read(jobs::EventKind& value) { read_word(*this, value, jobs::parse_event_kind); }
void Statement::read(jobs::FinishReason& value) {
  read_word(*this, value, jobs::parse_finish_reason);
}

Connection::Connection(const std::filesystem::path& path) : path_(path) {
  create_folders(path);
  guard("open tables", [&] {
    const int flags = SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE;
    database_ = std::make_unique<SQLite::Database>(path.string(), flags, kBusyTimeoutMs);
    check_is_ours(*database_);  // before anything is written to a file that may be someone else's
    set_journal_mode(*database_, journal_mode_for(path), kBusyTimeoutMs);
    database_->exec("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
    migrate(*database_);
  });
}

Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Statement Connection::prepare(const std::string& sql) const {
  return Statement(std::make_unique<SQLite::Statement>(*database_, sql));
}

std::string Connection::journal_mode() const {
  return read("read the journal mode",
              [&] { return database_->execAndGet("PRAGMA journal_mode").getString(); });
}

void Connection::guard(std::string_view tried, const std::function<void()>& work) const {
  try {
    work();
  } catch (const SQLite::Exception& error) {
    throw_error(tried, path_, error);
  }
}

void Connection::transact(std::string_view tried, const std::function<void()>& work) {
  guard(tried, [&] {
    SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
    work();
    transaction.commit();
  });
}

}  // namespace sluice::db::sqlite
