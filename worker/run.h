// `sluice-worker run`: one rank of a job. Everything it is told and everything it did lies in the
// job directory (docs/job-directory.md).
#pragma once

#include <filesystem>
#include <string>

#include "jobs/exit_status.h"
#include "jobs/ids.h"
#include "worker/pipeline/link.h"
#include "worker/pipeline/node_place.h"

namespace sluice::worker {

using jobs::kAllAnswered;
using jobs::kBadInput;
using jobs::kFailed;
using jobs::kStoppedEarly;

struct RunOptions {
  std::filesystem::path job_dir;
  jobs::RunId run;
  std::string cluster_id;  // Slurm's job id, or the local supervisor's
  double script_start_unix_s = 0;
  std::filesystem::path cuda_module = {};  // empty: the default (device.h)
};

// Collective: every rank of the world calls it. The same exit status on every rank. What it throws
// concerns this rank alone: record it and end the world.
int run(const RunOptions& options, pipeline::Link& world, const pipeline::NodePlace& node);

// exit.json of a run that failed, unless a rank has written one already. Never throws.
void record_failure(const RunOptions& options, int exit_code, const std::string& message) noexcept;

}  // namespace sluice::worker
