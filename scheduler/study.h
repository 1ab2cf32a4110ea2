// Studies: the same job at several points (nodes, batch sizes, whatever a file says), each run
// several times. All is checked when a study is made, and what its runs need is kept then: its
// points' settings in the database, their prompts in a folder of its own. Runs of a point are jobs
// like any others.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "db/store.h"
#include "scheduler/config.h"
#include "scheduler/submission.h"

namespace sluice::scheduler {

inline constexpr const char* kIndependent = "independent";  // a point's role

// What a study is to compare.
struct StudyOrder {
  std::string kind;  // strong, weak, batch or custom
  std::vector<int> nodes = {}, batch_sizes = {};
  std::int64_t prompts_per_node = 0;  // weak
  bool independent =
      false;  // beside each point of N ranks, N that have nothing to do with each other
  int ranks_per_node = 1;
  std::vector<Flags> points = {};  // custom
};

struct PointPlan {
  std::string role;
  Flags flags = {};  // over what all points have in common
  int copies = 1;    // of the list of prompts, one after another
};

// Pure. Throws scheduler::Error (usage) for an order that compares nothing.
std::vector<PointPlan> plan_points(const StudyOrder& order);

// Checks each point as a submission; their prompts are written into `folder`. Throws Error.
std::vector<Submission> check_points(const std::vector<PointPlan>& plans,
                                     const std::function<Settings(const Flags&)>& settings,
                                     const std::filesystem::path& folder,
                                     const CheckOptions& options);
std::string prompts_file_of(int point);  // in that folder

// The staging folder becomes the study's.
std::int64_t keep_study(db::Store& store, const db::Study& study,
                        const std::vector<PointPlan>& plans,
                        const std::vector<Submission>& submissions, Staging& staging,
                        const std::filesystem::path& job_root);

// Runs that are still to be made, in the order to make them: repeat by repeat, through all points,
// each time beginning with another, so that a slow hour meets all of them. `counts(job)`: the run
// stands, as it goes on or went well. Pure.
std::vector<db::StudyRun> missing_runs(const db::Study& study, int points,
                                       std::span<const db::StudyRun> runs,
                                       const std::function<bool(jobs::JobId)>& counts);

// Queues that run. `dependency`: as sbatch takes it, beside the point's own; empty: none.
jobs::JobId queue_run(db::Store& store, const db::Study& study, const db::StudyPoint& point,
                      const db::StudyRun& run, const std::string& dependency,
                      const std::filesystem::path& job_root);

std::string name_of(std::int64_t study);  // "study-3"
std::optional<std::int64_t> parse_study_name(const std::string& name);

}  // namespace sluice::scheduler
