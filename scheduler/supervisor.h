// The process that stands over a local attempt's script, as Slurm's daemons do elsewhere: it waits
// for its turn, runs the script in a session of its own, passes a cancel on, leaves no process of
// it behind, and records the end.
#pragma once

#include <filesystem>

namespace sluice::scheduler {

struct SuperviseOptions {
  std::filesystem::path job_dir;
  int attempt = 1;
  std::filesystem::path lock;
  double kill_grace_s = 10;  // between TERM and KILL of a script that is told to end
};

// Returns when the attempt has ended, or at once when another supervisor has it. Throws Error and
// jobs::Error when the record, the lock or the script cannot be used.
void supervise(const SuperviseOptions& options);

}  // namespace sluice::scheduler
