// Runs attempts on this machine: the same script, under a supervisor process that outlives the
// terminal (scheduler/supervisor.h).
#pragma once

#include <filesystem>
#include <memory>

#include "scheduler/executor.h"

namespace sluice::scheduler {

// `sluice`: the program that has the `supervise` command. Local jobs of one job root run one after
// the other: they share the lock JOB_ROOT/.local.lock.
std::unique_ptr<Executor> make_local_executor(std::filesystem::path sluice);

}  // namespace sluice::scheduler
