// What a database file is, for `sluice doctor`: nothing is made, migrated or left beside it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace sluice::db {

struct DatabaseFacts {
  bool exists = false;
  std::string problem;                  // why it cannot be used, with the fix; empty: it can
  std::string lock_problem;             // what the file system says to a lock; empty: it has them
  int version = 0, newest_version = 0;  // of its schema, and of this program's
  std::string journal_mode;             // "wal" | "delete"
  std::int64_t jobs = 0;
};

DatabaseFacts inspect_database(const std::filesystem::path& path);

}  // namespace sluice::db
