// Every path of a job directory (docs/job-directory.md). Pure: makes names, touches no file.
#pragma once

#include <filesystem>
#include <string_view>

#include "jobs/ids.h"

namespace sluice::jobs {

class Layout {
 public:
  using path = std::filesystem::path;

  explicit Layout(path job_dir) : dir_(std::move(job_dir)) {}

  const path& dir() const { return dir_; }
  path spec() const;               // what to do: written once, never changed
  path prompts() const;            // normalised, one line a prompt, index = line
  path chat_template() const;      // exists: instead of the model's own
  path script(int attempt) const;  // never overwritten
  path local(int attempt) const;   // local executor: the supervisor's record of that attempt
  path cancel_request() const;     // local executor and stale runs look for it
  path set_aside() const;          // errors that are no outcomes any more (set_aside.h)

  path claims_dir() const;
  path claim(int attempt, std::string_view token) const;  // "<slurm job id> <restart>\n", whole

  path results_dir() const;
  path results(RunId run, int replica) const;  // one writer, ever

  path runs_dir() const;
  path run_dir(RunId run) const;
  path started(RunId run) const;
  path progress(RunId run, int replica) const;
  path stage(RunId run, int rank) const;
  path trace(RunId run, int rank) const;  // the rank's timeline
  path metrics(RunId run) const;
  path exit(RunId run) const;
  path worker_log(RunId run, int rank = 0) const;  // rank 0's is the run's own
  // Where the script's own output goes. Slurm opens it before the script runs and keeps it over
  // requeues, so it lies in the folder of the attempt's first run, which must exist at submission.
  path script_log(int attempt) const;  // "runs/<attempt>.0/slurm-%j.out": %j is Slurm's job id

 private:
  path dir_;
};

}  // namespace sluice::jobs
