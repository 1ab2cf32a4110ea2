// What sbatch is told of an attempt, once for the command line and once for the script's #SBATCH
// lines. Private to slurm/.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "slurm/script.h"

namespace sluice::slurm {

// "--name=value" each. Ours stand last and so win over what the user passes through.
std::vector<std::string> sbatch_options(const ScriptInput& input);

// An option as Slurm's own parser of #SBATCH lines reads it back.
std::string directive(const std::string& option);

// Where it may run and with what of a node, as sbatch, srun and salloc all take it: names of
// options and their values, empty ones too.
std::vector<std::pair<std::string, std::string>> placement(const jobs::ClusterOptions& cluster,
                                                           const std::string& time);

int cpus_per_task(const jobs::JobSpec& spec);

}  // namespace sluice::slurm
