// The tables and views (docs/data-model.md) and how an older database becomes the newest one.
// Throws db::Error for a database that is not ours or too new, SQLite's own exceptions otherwise.
#pragma once

#include <string>

namespace SQLite {
class Database;
}

namespace sluice::db::sqlite {

inline constexpr int kApplicationId = 0x536c7563;  // "Sluc", in the file's header

int newest_version();

// Refuses another program's database and one that a newer Sluice has made. Writes nothing.
void check_is_ours(SQLite::Database& database);

// Several first openers may race: whoever is late waits, up to `timeout_ms`.
void set_journal_mode(SQLite::Database& database, const std::string& mode, int timeout_ms);

// One transaction a step; user_version tells how far it came.
void migrate(SQLite::Database& database);

}  // namespace sluice::db::sqlite
