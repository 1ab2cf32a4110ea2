// Settings -> jobs::JobSpec, and what a submission hands on of the user's shell. Pure.
#pragma once

#include <string>
#include <vector>

#include "jobs/spec.h"
#include "scheduler/config.h"

namespace sluice::scheduler {

// Everything but job, uid, prompt_count, submitted_unix_s, worker and what is known of the model.
// Throws scheduler::Error (usage) for a shape that does not divide, naming the possible ones, and
// for settings that contradict each other.
jobs::JobSpec make_spec(const Settings& settings);

// Every attempt is submitted with the PATH and LD_LIBRARY_PATH of the first, also when cron ticks:
// noted in the spec, and later put over the submitting process's own (slurm::CommandOptions::env).
void note_environment(jobs::JobSpec& spec, const Environment& environment);
std::vector<std::string> submit_environment(const jobs::JobSpec& spec);

}  // namespace sluice::scheduler
