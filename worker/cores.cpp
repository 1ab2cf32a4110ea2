#include "worker/cores.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace sluice::worker {
namespace {

// An open file that holds the core, or -1.
int lock_core(int core, const std::string& dir) {
  const std::string path = dir + "/sluice-core-" + std::to_string(core) + ".lock";
  // Not O_CREAT alone: where others' files in sticky folders are protected, opening one with
  // O_CREAT is refused even when it may be written.
  int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0) fchmod(fd, 0666);  // whatever the umask: other users lock it too
  }
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

bool pin_to(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(core, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

}  // namespace

std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

std::vector<int> core_preference(const std::vector<int>& allowed, int local_rank, int local_size) {
  std::vector<int> order = allowed;
  const auto share = static_cast<std::ptrdiff_t>(allowed.size()) / local_size;
  if (share > 0) std::rotate(order.begin(), order.begin() + share * local_rank, order.end());
  return order;
}

std::string core_list(std::vector<int> cores) {
  std::ranges::sort(cores);
  std::string text;
  for (std::size_t first = 0, last; first < cores.size(); first = last + 1) {
    last = first;
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) ++last;
    if (!text.empty()) text += ",";
    text += std::to_string(cores[first]);
    if (last > first) text += "-" + std::to_string(cores[last]);
  }
  return text;
}

Cores::Cores(int local_rank, int local_size, int threads, const std::string& lock_dir)
    : allowed_(allowed_cores()) {
  std::vector<int> cores;
  for (const int core : core_preference(allowed_, local_rank, local_size)) {
    if (static_cast<int>(cores.size()) == threads) break;
    const int fd = lock_core(core, lock_dir);
    if (fd < 0) continue;
    lock_fds_.push_back(fd);
    cores.push_back(core);
  }
  if (!cores.empty() && pin_to(cores)) pinned_ = cores;
}

void Cores::unpin_thread() const {
  if (!pinned_.empty()) pin_to(allowed_);
}

Cores::~Cores() {
  for (const int fd : lock_fds_) close(fd);
}

}  // namespace sluice::worker
