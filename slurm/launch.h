// How the ranks of a job are started: the shell lines before the launcher and the launcher's own
// words, once for the script of an attempt and once for a trial. Pure. All functions
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

}  // namespace sluice::slurm
