// Runs attempts through sbatch, squeue, sacct and scancel.
#pragma once

#include <memory>

#include "scheduler/executor.h"
#include "slurm/command.h"

namespace sluice::scheduler {

std::unique_ptr<Executor> make_slurm_executor(slurm::RunCommand run);

}  // namespace sluice::scheduler
