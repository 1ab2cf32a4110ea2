// From prompts and settings to a queued job. Everything is checked before anything is queued, and
// what is made on the way lies in a staging folder that vanishes unless it becomes the job's.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "db/store.h"
#include "jobs/prompts.h"
#include "jobs/spec.h"
#include "scheduler/config.h"
#include "scheduler/model_check.h"
#include "slurm/command.h"

namespace sluice::scheduler {

// A folder of our own in the job root, removed with all that is in it, wherever it was moved,
// unless keep() was called. The next submission removes what a killed process of this machine left.
class Staging {
 public:
  explicit Staging(const std::filesystem::path& job_root);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const std::filesystem::path& dir() const { return dir_; }
  // `database` is to name the job directory; it decides when this process is killed before it can.
  void move_to(const std::filesystem::path& job_dir, const std::filesystem::path& database);
  void keep() { kept_ = true; }

 private:
  std::filesystem::path folder_, dir_;
  bool kept_ = false;
};

struct Submission {
  jobs::JobSpec spec;
  ModelFacts model;
  jobs::PromptSummary prompts;
  std::filesystem::path worker_here = {};  // which answers questions; spec.worker is the nodes'
};

// The worker here, which answers questions; the nodes may know it under another path. Throws Error
// where there is none.
std::filesystem::path worker_here(const Settings& settings);

struct CheckOptions {
  bool skip_bad = false;              // bad lines are left out instead of refused
  bool any_layout = false;            // the shape is not the one that the job will have
  std::filesystem::path output;       // the normalised prompts; empty: only checks
  std::function<bool()> interrupted;  // polled while prompts are read
  slurm::RunCommand run = slurm::run_command;
  Environment environment = process_environment;
};

// Throws scheduler::Error: missing input or model, bad lines, chats that no template can render, a
// shape the model or the prompts cannot fill, a launcher that is not there, values that no script
// can carry.
Submission check_submission(const Settings& settings, const CheckOptions& options);

std::filesystem::path job_directory(const std::filesystem::path& job_root,
                                    const jobs::JobSpec& spec);

// Queues it: the staging folder gets a copy of the chat template, and becomes the job's directory
// inside the transaction that makes the job. Returns the job's id; `spec` gets it too.
// `run`: of a study.
jobs::JobId queue_submission(db::Store& store, Submission& submission, Staging& staging,
                             const std::filesystem::path& job_root,
                             const std::optional<db::StudyRun>& run = std::nullopt);

}  // namespace sluice::scheduler
