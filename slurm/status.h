// What Slurm's commands print, as values. Pure functions over text; they accept what real ones
// print (22.05 to 24.11) and keep what they do not understand as it is: an unknown state is
// Phase::unknown, never an end.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::slurm {

enum class Phase {
  pending,    // PENDING, CONFIGURING, REQUEUE_HOLD, ...: may still start
  running,    // RUNNING, SUSPENDED, COMPLETING, ...: not over
  succeeded,  // COMPLETED: Slurm's word, which alone proves nothing
  failed,     // FAILED, TIMEOUT, NODE_FAIL, OUT_OF_MEMORY, PREEMPTED, ...: over, unless the queue
              // shows the job again
  cancelled,  // CANCELLED, CANCELLED by 0
  requeued,   // REQUEUED: this run ended, the job goes on
  unknown,
};
bool is_over(Phase phase);                    // succeeded, failed, cancelled
Phase phase_of(std::string_view state_word);  // every word of slurm.h; "CANCELLED by 12" too

struct JobStatus {
  std::string id;     // "48213"
  std::string name;   // the carrier of the token
  std::string state;  // Slurm's own word
  Phase phase = Phase::unknown;
  std::string reason;
  std::string nodes;
  std::string exit_code;  // "CODE:SIGNAL"; sacct keeps only the low 7 bits of a script's code
  int restarts = 0;       // squeue only
  double submit_unix_s = 0, start_unix_s = 0, end_unix_s = 0;  // 0: unknown
};

// The --parsable answer "ID" or "ID;CLUSTER", or "Submitted batch job ID", among whatever else
// stands on stdout. Two different ids are no answer.
std::optional<std::string> parse_sbatch(std::string_view out);

// Longer lists of names are asked for as "all my jobs": a command line has an end.
inline constexpr std::size_t kNamesInQueryMax = 500;

// Output of the very command lines below, run with query_environment(). Lines that are no job, such
// as a site's banner, are left out.
std::vector<std::string> squeue_argv(const std::vector<std::string>& job_names);
std::vector<JobStatus> parse_squeue(std::string_view out);
std::vector<std::string> sacct_argv(const std::vector<std::string>& job_names, double since_unix_s);
std::vector<JobStatus> parse_sacct(std::string_view out);

// For CommandOptions::env: times in seconds since the epoch, and without the variables by which a
// user's profile would hide jobs from squeue (SQUEUE_PARTITION, ...) or ask another cluster.
std::vector<std::string> query_environment();

}  // namespace sluice::slurm
