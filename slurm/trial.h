// `sluice-worker` on the nodes that a job would have, without a job: to look at them (`sluice
// doctor`), or to measure one (`sluice plan`). On Slurm in an allocation of its own, of a few
// minutes at most. What is passed through to sbatch is left out: srun and salloc need not know it.
#pragma once

#include <string>
#include <vector>

#include "jobs/spec.h"
#include "slurm/command.h"

namespace sluice::slurm {

struct Trial {
  const jobs::JobSpec& spec;       // shape, cluster options, launcher, worker
  std::string name;                // the allocation's, on Slurm
  std::vector<std::string> words;  // of `sluice-worker`
  int wait_s = 60;                 // on Slurm: for nodes to be free
};

// A command that starts them on all ranks and ends with them. Throws Error for what cannot be said.
std::vector<std::string> trial_argv(const Trial& trial);

// Runs it; it is killed after `start_s` and the wait, and then what it left in the queue cancelled.
CommandResult run_trial(const RunCommand& run, const Trial& trial, double start_s);

}  // namespace sluice::slurm
