// A job directory made for a test, and real ranks started on it by mpirun.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "jobs/layout.h"
#include "jobs/metrics.h"
#include "jobs/prompts.h"
#include "jobs/results.h"
#include "jobs/spec.h"

namespace sluice::worker {

class JobDirectory {
 public:
  JobDirectory(jobs::JobSpec spec, const std::vector<jobs::Prompt>& prompts);
  ~JobDirectory();
  JobDirectory(const JobDirectory&) = delete;
  JobDirectory& operator=(const JobDirectory&) = delete;

  const jobs::Layout& layout() const { return layout_; }
  void reshape(const jobs::Shape& shape);  // as no user can: between two runs
  jobs::ExitRecord exit_record(jobs::RunId run) const;
  jobs::StageMetrics stage(jobs::RunId run, int rank) const;
  std::vector<jobs::Result> results_of(jobs::RunId run) const;  // of all replicas; whole lines only
  std::map<std::int64_t, int> times_answered() const;           // by prompt, over all runs

 private:
  jobs::Layout layout_;
};

// mpirun with `ranks` real ranks of a run. Killed with all its ranks if it still runs at the end.
class Launch {
 public:
  Launch(const JobDirectory& job, jobs::RunId run, int ranks);
  ~Launch();
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  void signal_rank(int rank, int signal_number) const;
  int wait();  // exit status of mpirun; 128 + n after a signal

 private:
  bool ended();

  pid_t pid_ = -1;
  int status_ = -1;
};

// Polls until `holds`; false after a minute.
bool eventually(const std::function<bool()>& holds);

}  // namespace sluice::worker
