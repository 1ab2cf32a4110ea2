#include "db/inspect.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "db/error.h"
#include "db/sqlite/schema.h"

namespace sluice::db {
namespace {

namespace fs = std::filesystem;

constexpr int kBusyTimeoutMs = 5'000;

// A path as SQLite's URIs take it.
std::string uri_of(const fs::path& path, const char* parameters) {
  constexpr const char* kDigits = "0123456789ABCDEF";
  std::string uri = "file:";
  for (const char c : fs::absolute(path).string()) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = std::isalnum(byte) || std::strchr("/._-", c) != nullptr;
    if (plain) {
      uri += c;
    } else {
      uri += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return uri + parameters;
}

// Byte 18 of the file's header (sqlite.org/fileformat2.html): who writes must use the log.
bool has_wal_format(int fd) {
  std::array<char, 20> header{};
  return ::pread(fd, header.data(), header.size(), 0) == 20 && header[18] == 2;
}

std::string lock_problem(int fd) {
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  return ::fcntl(fd, F_GETLK, &lock) == 0 ? "" : std::generic_category().message(errno);
}

// A log beside the file is another process's, or one that was killed: then SQLite has to read it.
// Without one the file is whole, and SQLite need not make any beside it.
void read_tables(const fs::path& path, DatabaseFacts& facts) {
  const bool has_log = fs::exists(path.string() + "-wal");
  const char* const parameters = has_log ? "?mode=ro" : "?mode=ro&immutable=1";
  SQLite::Database database(uri_of(path, parameters), SQLite::OPEN_READONLY | SQLite::OPEN_URI,
                            kBusyTimeoutMs);
  sqlite::check_is_ours(database);
  facts.version = database.execAndGet("PRAGMA user_version").getInt();
  if (facts.version > 0) facts.jobs = database.execAndGet("SELECT count(*) FROM jobs").getInt64();
}

}  // namespace

DatabaseFacts inspect_database(const fs::path& path) {
  DatabaseFacts facts;
  facts.newest_version = sqlite::newest_version();
  std::error_code unknown;
  facts.exists = fs::exists(path, unknown);
  if (!facts.exists) return facts;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    facts.problem = path.string() + ": " + std::generic_category().message(errno);
    return facts;
  }
  facts.lock_problem = lock_problem(fd);
  facts.journal_mode = has_wal_format(fd) ? "wal" : "delete";
  ::close(fd);  // before SQLite opens it: closing would drop the locks of this process
  try {
    read_tables(path, facts);
  } catch (const SQLite::Exception& error) {
    facts.problem = path.string() + ": " + error.what();
  } catch (const Error& error) {
    facts.problem = error.what();
  }
  return facts;
}

}  // namespace sluice::db
