// What Slurm's commands print, as values. Pure functions over text; they accept what real ones print
// (22.05 to 24.11) and keep what they do not understand as it is: an unknown state is Phase::unknown,
// never an end.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::slurm {

enum class Phase {
  pending,    // PENDING, CONFIGURING, REQUEUED, ...: may still start
  running,    // RUNNING, SUSPENDED, COMPLETING, ...: not over
  succeeded,  // COMPLETED: Slurm's word, which alone proves nothing
  failed,     // FAILED, TIMEOUT, NODE_FAIL, OUT_OF_MEMORY, ...
  cancelled,  // CANCELLED, CANCELLED by 0
  requeued,   // PREEMPTED, REQUEUED rows of sacct: this run ended, the job goes on
  unknown,
};
Phase phase_of(std::string_view state_word);  // every word of slurm.h; "CANCELLED by 12" too

struct JobStatus {
  std::string id;    // "48213"
  std::string name;  // the carrier of the token
  std::string state;  // Slurm's own word
  Phase phase = Phase::unknown;
  std::string reason;
  std::string nodes;
  std::string exit_code;  // "CODE:SIGNAL"
  int restarts = 0;
  double submit_unix_s = 0, start_unix_s = 0, end_unix_s = 0;  // 0: unknown
};

// The --parsable answer "ID" or "ID;CLUSTER" among whatever else stands on stdout.
std::optional<std::string> parse_sbatch(std::string_view out);

// Output of the very command lines below, with SLURM_TIME_FORMAT=%s.
std::vector<std::string> squeue_argv(const std::vector<std::string>& job_names);
std::vector<JobStatus> parse_squeue(std::string_view out);
std::vector<std::string> sacct_argv(const std::vector<std::string>& job_names,
                                    double since_unix_s);
std::vector<JobStatus> parse_sacct(std::string_view out);

}  // namespace sluice::slurm
