// The doctor's look at Slurm from this machine: commands, controller, partition, accounting, MPI
// plugins and the settings that matter to jobs.
#pragma once

#include "scheduler/doctor.h"
#include "slurm/site.h"

namespace sluice::scheduler {

// False: nothing would start there now.
bool examine_slurm(const DoctorInput& input, const TellCheck& tell);

// Its judgements, pure.
Check judge_partition(const Settings& settings, const std::vector<slurm::Partition>& partitions);
Check judge_mpi(const std::string& launcher, const std::vector<std::string>& plugins,
                const slurm::SiteConfig& config);
std::vector<Check> judge_config(const Settings& settings, const slurm::SiteConfig& config,
                                bool has_accounting);

}  // namespace sluice::scheduler
