// Settings -> jobs::JobSpec. Pure.
#pragma once

#include "jobs/spec.h"
#include "scheduler/config.h"

namespace sluice::scheduler {

// Everything but job, uid, prompt_count and worker. Throws scheduler::Error (usage) for a shape
// that does not divide, naming the possible ones.
jobs::JobSpec make_spec(const Settings& settings);

}  // namespace sluice::scheduler
