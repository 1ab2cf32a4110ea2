// The script of an attempt and the sbatch command line: pure functions of the spec. The local
// executor runs the very same script. Golden files: tests/golden/script-*.sh.
#pragma once

#include <string>
#include <vector>

#include "jobs/spec.h"

namespace sluice::slurm {

struct ScriptInput {
  const jobs::JobSpec& spec;
  std::string job_dir;  // absolute
  int attempt = 1;
  std::string token;
  int runs_before = 0;  // of earlier attempts: requeues beyond max_attempts runs are not asked for
};

// A bash script: claim, launch in the background, forward signals, exit with the worker's status or
// requeue itself when that is 75. Any byte but NUL may stand in any value (quoting is proven by
// tests). Throws Error for what cannot be said at all: a NUL, a newline in an option of sbatch, an
// environment name that is no name, a launcher other than srun and mpirun.
std::string make_script(const ScriptInput& input);

// {"sbatch", "--parsable", ..., script path}: the same options as the script's #SBATCH lines, since
// only the command line is stronger than the SBATCH_* variables of the user's environment. Throws
// Error as above, and for a passed-through argument that would change what an attempt is.
std::vector<std::string> sbatch_argv(const ScriptInput& input, const std::string& script_path);

}  // namespace sluice::slurm
