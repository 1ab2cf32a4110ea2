// The process that stands over a local attempt's script, as Slurm's daemons do elsewhere: it waits
// for its turn, runs the script in a session of its own, passes a cancel on, ends a launcher that
// lost its ranks and did not notice, leaves no process of it behind, and records the end.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace sluice::scheduler {

struct SuperviseOptions {
  std::filesystem::path job_dir;
  int attempt = 1;
  std::filesystem::path lock;
  std::function<void(const std::string&)> warn = [](const std::string&) {};
  double kill_grace_s = 10;          // between TERM and KILL of a script that is told to end
  double empty_launcher_max_s = 30;  // a launcher that holds no rank for so long hangs
};

// Returns when the attempt has ended, or at once when another supervisor has it. Throws Error and
// jobs::Error when the record, the lock or the script cannot be used.
void supervise(const SuperviseOptions& options);

}  // namespace sluice::scheduler
