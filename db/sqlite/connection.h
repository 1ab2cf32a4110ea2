// One connection to the database and its statements: the only code that calls SQLite. Errors leave
// as db::Error: what was tried, on which file, what SQLite said and the fix. Not thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "jobs/results.h"
#include "jobs/state.h"

namespace SQLite {
class Database;
class Statement;
}  // namespace SQLite

namespace sluice::db::sqlite {

// A prepared statement: bind in order, then step() row by row and read() in order.
class Statement {
 public:
  explicit Statement(std::unique_ptr<SQLite::Statement> statement);
  Statement(Statement&&) noexcept;
  ~Statement();

  template <class... Values>
  Statement& bind(const Values&... values) {
    (bind_next(values), ...);
    return *this;
  }
  bool step();    // false after the last row
  int run();      // to the end; the number of rows changed. May be bound again afterwards
  void rewind();  // may be bound again

  void bind_next(int value);
  void bind_next(std::int64_t value);
  void bind_next(double value);  // NULL when not a number
  void bind_next(const std::string& value);
  void bind_next(jobs::JobState value);
  void bind_next(jobs::EventKind value);
  void bind_next(jobs::FinishReason value);
  template <class Value>
  void bind_next(const std::optional<Value>& value) {
    if (value) {
      bind_next(*value);
    } else {
      bind_null();
    }
  }

  void read(bool& value);
  void read(int& value);
  void read(std::int64_t& value);
  void read(double& value);  // not a number when NULL
  void read(std::string& value);
  void read(jobs::JobState& value);
  void read(jobs::EventKind& value);
  void read(jobs::FinishReason& value);
  template <class Value>
  void read(std::optional<Value>& value) {
    if (is_null()) {
      skip();
    } else {
      read(value.emplace());
    }
  }

 private:
  void bind_null();
  bool is_null() const;
  void skip() { ++column_; }

  std::unique_ptr<SQLite::Statement> statement_;
  int parameter_ = 0, column_ = 0;
};

class Connection {
 public:
  // Opens or creates the file (and its folders) and brings its schema up to date.
  explicit Connection(const std::filesystem::path& path);
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  const std::filesystem::path& path() const { return path_; }
  Statement prepare(const std::string& sql) const;
  std::string journal_mode() const;

  // Work that reads; `tried` completes "cannot ...".
  template <class Work>
  auto read(std::string_view tried, const Work& work) const {
    std::invoke_result_t<Work> result{};
    guard(tried, [&] { result = work(); });
    return result;
  }
  void guard(std::string_view tried, const std::function<void()>& work) const;

  // One BEGIN IMMEDIATE transaction: committed when `work` returns, undone when it throws.
  template <class Work>
  auto write(std::string_view tried, const Work& work) {
    std::invoke_result_t<Work> result{};
    transact(tried, [&] { result = work(); });
    return result;
  }
  void transact(std::string_view tried, const std::function<void()>& work);

 private:
  std::filesystem::path path_;
  std::unique_ptr<SQLite::Database> database_;
};

}  // namespace sluice::db::sqlite
