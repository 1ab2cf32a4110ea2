// What sbatch is told of an attempt, once for the command line and once for the script's #SBATCH
// lines. Private to slurm/.
#pragma once

#include <string>
#include <vector>

#include "slurm/script.h"

namespace sluice::slurm {

// "--name=value" each. Ours stand last and so win over what the user passes through.
std::vector<std::string> sbatch_options(const ScriptInput& input);

// An option as Slurm's own parser of #SBATCH lines reads it back.
std::string directive(const std::string& option);

int cpus_per_task(const jobs::JobSpec& spec);

}  // namespace sluice::slurm
