// Names of a job, its attempts and its runs. An attempt is one submission (one Slurm job id); a run
// is one start of its script: a requeue makes a second run of the same attempt.
// Values only; every function is pure except the two that draw random bytes.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::jobs {

using JobId = std::int64_t;  // positive; the database's primary key

struct RunId {
  int attempt = 1;  // from 1
  int restart = 0;  // SLURM_RESTART_COUNT, from 0

  // Later runs are greater.
  auto operator<=>(const RunId&) const = default;  // NOLINT(modernize-use-nullptr): none here
};

// "<attempt>.<restart>", as in file names; and back (nullopt when it is not exactly that).
std::string to_string(RunId run);
std::optional<RunId> parse_run_id(std::string_view text);

std::string new_uid();  // 8 hex digits: keeps job directories of two databases apart
std::string
new_token();  // 16 hex digits: one a submission, found again in squeue, sacct and claims

// The name Slurm knows an attempt by: "<name>-<token>". Characters outside [A-Za-z0-9_.-] of `name`
// become '_', and it is cut to 40: the token alone makes the name unique.
std::string cluster_job_name(std::string_view name, std::string_view token);

}  // namespace sluice::jobs
