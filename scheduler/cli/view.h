// What there is to tell of one job: its rows and, while it runs, what its newest run writes down.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "db/store.h"
#include "jobs/metrics.h"
#include "jobs/spec.h"
#include "scheduler/cli/table.h"

namespace sluice::scheduler::cli {

struct JobView {
  db::Job job;
  jobs::JobSpec spec;
  std::optional<db::Attempt> attempt;  // the newest
  std::vector<db::Run> runs;
  std::optional<jobs::Started> started;    // of the newest run
  std::optional<jobs::Progress> progress;  // of the newest run, all replicas together
  std::int64_t prompts_done = 0;           // durable, as far as anybody knows
  double wall_clock_s = 0;                 // of all runs
  std::int64_t prompt_tokens = 0, output_tokens = 0;
  double output_tokens_per_s = 0;   // now, while it runs; else over all runs
  std::optional<double> elapsed_s;  // of all runs, each from its start to its end
  std::optional<double> left_s;     // while it runs
  std::string note;                 // the state's why, and what to do about it
};

JobView view_of(const db::Store& store, const db::Job& job);

// "stages 97 % 96 %", while it runs; of many the least and the most; empty: not known.
std::string busy_text(const JobView& view);

Table job_table(const std::vector<JobView>& views);

// The stages of a run that have reported, one row each. People see one of the two sums at a time,
// programs always all.
enum class StageSum {
  elapsed,     // launch + load + preprocess + wall_clock + teardown + other
  wall_clock,  // prefill + decode + sampling + communication + bubble + output + other
};
Table stage_table(const std::vector<jobs::StageMetrics>& stages,
                  StageSum shown = StageSum::wall_clock);

}  // namespace sluice::scheduler::cli
