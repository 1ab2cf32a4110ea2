// How the ranks of a job are started: the shell lines before the launcher and the launcher's own
// words, once for the script of an attempt and once for a probe of the site. Pure. All functions
// throw Error for what cannot be said in a script.
#pragma once

#include <string>
#include <vector>

#include "jobs/spec.h"

namespace sluice::slurm {

bool on_slurm(const jobs::JobSpec& spec);

// `value`; Error where it holds a NUL, naming `what`.
std::string checked(const std::string& what, const std::string& value);

// Modules, variables and the user's own commands.
std::string environment_lines(const jobs::JobSpec& spec);

std::vector<std::string> launcher_argv(const jobs::JobSpec& spec);
bool is_srun(const std::vector<std::string>& launcher_argv);

// The line by which Open MPI lets root in; none for srun, which needs none.
std::string open_mpi_as_root(const std::vector<std::string>& launcher_argv);

struct ProbeLaunch {
  const jobs::JobSpec& spec;       // shape, cluster options, launcher, worker
  std::string name;                // the allocation's, on Slurm
  std::vector<std::string> words;  // of `sluice-worker probe`
  int wait_s = 60;                 // on Slurm: for nodes to be free
};
// A command that starts `sluice-worker probe` on all ranks and ends with it, without a job: on
// Slurm in an allocation of its own, of a few minutes at most. What is passed through to sbatch is
// left out: srun and salloc need not know it.
std::vector<std::string> probe_argv(const ProbeLaunch& launch);

// For CommandOptions::env of a probe: without the variables by which srun would begin a step of an
// allocation that this process is in, or ask another cluster.
std::vector<std::string> probe_environment();

}  // namespace sluice::slurm
