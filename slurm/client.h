// Slurm as a few questions and orders, over an injected RunCommand. Says when it does not know:
// a time-out or an error that is no clear "no" is never taken for an answer.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "slurm/command.h"
#include "slurm/status.h"

namespace sluice::slurm {

inline constexpr double kSubmitTimeoutS = 60;
inline constexpr double kQueryTimeoutS = 30;

struct SubmitAnswer {
  enum class Kind {
    accepted,  // `id` is set
    refused,   // Slurm said no before queueing: nothing waits (it may keep a FAILED BadConstraints
               // record with the job's name)
    unknown,   // time-out, connection lost, non-zero with an id, ...: it may be queued
  };
  Kind kind = Kind::unknown;
  std::string id;
  std::string message;  // Slurm's own words
};

class Client {
 public:
  explicit Client(RunCommand run) : run_(std::move(run)) {}

  // False when Slurm's commands say that no cluster's configuration is to be found here. A cluster
  // that does not answer is one all the same: nothing is asked of it.
  bool is_configured() const;

  // `env` as in CommandOptions: of it Slurm makes the job's environment.
  SubmitAnswer submit(const std::vector<std::string>& sbatch_argv,
                      std::vector<std::string> env = {}) const;

  // All jobs with one of these names; two with the same name when a submission was doubled.
  // `complete` false: the question could not be answered (`why`).
  struct Answer {
    bool complete = false;
    std::vector<JobStatus> jobs;
    std::string why;
  };
  Answer queue(const std::vector<std::string>& job_names) const;  // one squeue

  // One sacct, for jobs that a complete queue() no longer shows: of a requeued job it tells the run
  // before. On a site that keeps no history the answer is complete and empty, and says why.
  Answer history(const std::vector<std::string>& job_names, double since_unix_s) const;

  // Empty when Slurm took the order (which it also says for unknown and ended jobs), else why not.
  std::optional<std::string> cancel(const std::string& id) const;

 private:
  RunCommand run_;
};

}  // namespace sluice::slurm
