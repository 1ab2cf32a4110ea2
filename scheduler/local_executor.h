// Runs attempts on this machine: the same script, under a supervisor process that outlives the
// terminal (scheduler/supervisor.h).
#pragma once

#include <filesystem>
#include <memory>

#include "scheduler/executor.h"

namespace sluice::scheduler {

// `sluice`: the program that has the `supervise` command. Local jobs of one job root run one after
// the other, in the order of their arrival (local_turn.h): they share the lock
// JOB_ROOT/.local.lock.
std::unique_ptr<Executor> make_local_executor(std::filesystem::path sluice);

// While this lives no further local job of that root begins, if it was free of them: so that the
// first is not disturbed by the submission of others that are compared with it.
class LocalPause {
 public:
  explicit LocalPause(const std::filesystem::path& job_root);  // never fails
  ~LocalPause();
  LocalPause(const LocalPause&) = delete;
  LocalPause& operator=(const LocalPause&) = delete;

 private:
  int lock_ = -1;
};

}  // namespace sluice::scheduler
