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
};

// A bash script: claim, launch in the background, forward signals, exit with the worker's status or
// requeue itself when that is 75. Any byte may stand in any value (quoting is proven by tests);
// a NUL or a newline in an #SBATCH value is an Error.
std::string make_script(const ScriptInput& input);

// {"sbatch", "--parsable", ..., script path}. Everything that Slurm must know stands in the
// script's #SBATCH lines; the command line carries only what must not be overridden.
std::vector<std::string> sbatch_argv(const ScriptInput& input, const std::string& script_path);

}  // namespace sluice::slurm
