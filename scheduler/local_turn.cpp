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
  if (!failed) name_ = name;
}

LocalTurn::~LocalTurn() { give_up(); }

bool LocalTurn::has_come() {
  while (!name_.empty()) {
    if (ahead_ >= 0 && !ahead_is_gone()) return false;
    if (!look_ahead()) return true;
  }
  return true;
}

void LocalTurn::give_up() {
  std::error_code gone;
  if (!name_.empty()) fs::remove(folder_ / std::exchange(name_, {}), gone);
  for (int* file : {&ticket_, &ahead_}) {
    if (*file >= 0) ::close(std::exchange(*file, -1));
  }
}

bool LocalTurn::look_ahead() {
  std::string nearest;
  std::error_code unknown;
  for (fs::directory_iterator i(folder_, unknown), end; !unknown && i != end;
       i.increment(unknown)) {
    std::string name = i->path().filename();
    if (name[0] != '.' && name < name_ && name > nearest) nearest = std::move(name);
  }
  if (nearest.empty()) return false;
  ahead_name_ = folder_ / nearest;
  ahead_ = ::open(ahead_name_.c_str(), O_RDONLY | O_CLOEXEC);
  return true;  // or it went just now: look again
}

bool LocalTurn::ahead_is_gone() {
  if (::flock(ahead_, LOCK_SH | LOCK_NB) != 0) return false;
  std::error_code gone;
  fs::remove(ahead_name_, gone);  // killed, it could not
  ::close(std::exchange(ahead_, -1));
  return true;
}

}  // namespace sluice::scheduler
