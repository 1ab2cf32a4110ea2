// The cores of a rank: its share of what the process may run on, one core for each thread, and
// never a core that a rank of another job on this machine already holds. Cores are held by locks on
// files that everyone on the machine can see; a lock dies with its process.
#pragma once

#include <string>
#include <vector>

namespace sluice::worker {

// In which order a rank tries the cores it is allowed: its own share first (ranks of one machine
// get neighbouring shares), then the others. When there are fewer cores than ranks, or the launcher
// gave each rank its own, every core is tried in order. Pure.
std::vector<int> core_preference(const std::vector<int>& allowed, int local_rank, int local_size);

std::vector<int> allowed_cores();               // that this process may run on; ascending
std::string core_list(std::vector<int> cores);  // "0-3,8"

// Held for the life of this object.
class Cores {
 public:
  // Locks as many cores as there are threads and pins the calling thread, and those it will start,
  // to them; to fewer where others hold the rest, and to none where all are taken. `lock_dir` is
  // one that all users of the machine can write to.
  Cores(int local_rank, int local_size, int threads = 1, const std::string& lock_dir = "/dev/shm");
  ~Cores();
  Cores(const Cores&) = delete;
  Cores& operator=(const Cores&) = delete;

  const std::vector<int>& pinned() const { return pinned_; }  // empty: not pinned

  // Lets the calling thread, which has inherited the pin, run on any core that the process may:
  // beside the pinned thread, not in its place.
  void unpin_thread() const;

 private:
  std::vector<int> allowed_;
  std::vector<int> pinned_;
  std::vector<int> lock_fds_;
};

}  // namespace sluice::worker
