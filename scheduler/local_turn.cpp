#include "scheduler/local_turn.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "jobs/files.h"
#include "jobs/ids.h"

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;

// Names order as the times do.
std::string ticket_name() {
  char text[32];
  std::snprintf(text, sizeof text, "%020.0f-", jobs::unix_time_s() * 1e6);
  return text + jobs::new_token();
}

// Of the tickets that came before that one; empty: there is none.
std::string last_before(const fs::path& folder, const std::string& ticket) {
  std::string nearest;
  std::error_code unknown;
  for (fs::directory_iterator i(folder, unknown), end; !unknown && i != end; i.increment(unknown)) {
    std::string name = i->path().filename();
    if (name[0] != '.' && name < ticket && name > nearest) nearest = std::move(name);
  }
  return nearest;
}

}  // namespace

LocalTurn::LocalTurn(const fs::path& folder) : folder_(folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  const std::string name = ticket_name();
  const fs::path hidden = folder / ("." + name);  // nobody looks at it before it is locked
  ticket_ = ::open(hidden.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (ticket_ < 0) return;
  ::flock(ticket_, LOCK_EX | LOCK_NB);
  fs::rename(hidden, folder / name, failed);
  if (!failed) name_ = before_ = name;
}

LocalTurn::~LocalTurn() { give_up(); }

// From the nearest ticket down: one that was passed, as its holder is gone or it cannot be looked
// at, is not met again, though it could not be removed.
bool LocalTurn::has_come() {
  while (true) {
    if (ahead_ >= 0) {
      if (::flock(ahead_, LOCK_SH | LOCK_NB) != 0) return false;
      std::error_code gone;
      fs::remove(folder_ / before_, gone);  // killed, its holder could not
      ::close(std::exchange(ahead_, -1));
    }
    std::string nearest = last_before(folder_, before_);
    if (nearest.empty()) return true;
    before_ = std::move(nearest);
    ahead_ = ::open((folder_ / before_).c_str(), O_RDONLY | O_CLOEXEC);
  }
}

void LocalTurn::give_up() {
  std::error_code gone;
  if (!name_.empty()) fs::remove(folder_ / std::exchange(name_, {}), gone);
  for (int* file : {&ticket_, &ahead_}) {
    if (*file >= 0) ::close(std::exchange(*file, -1));
  }
}

}  // namespace sluice::scheduler
