// What a study's runs say: its table, where the time of each point went, why efficiency was lost,
// and what to beware of. Pure: from measurements to values; cli/report_* shows them. Definitions
// and formulas: docs/scaling.md.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "db/store.h"
#include "jobs/metrics.h"
#include "scheduler/scaling.h"

namespace sluice::scheduler {

// A job that answered all of its prompts in one run.
struct MeasuredRun {
  jobs::JobId job = 0;
  int repeat = 1;
  jobs::RunMetrics run = {};
  std::vector<jobs::StageMetrics> stages = {};  // by rank
  std::optional<double> predicted_s = {};       // the wall-clock, before it ran
};

struct MeasuredPoint {
  std::string role;
  jobs::JobSpec spec;
  std::vector<MeasuredRun> runs = {};
  int wanted = 1;                          // repeats
  std::vector<std::string> left_out = {};  // jobs that do not count, and why
};

struct ReportInput {
  std::string title, kind;  // strong, weak, batch or custom
  std::vector<MeasuredPoint> points = {};
  std::vector<MeasuredPoint> elsewhere =
      {};  // one rank, the same work, of other jobs in the database
  // As db::Store has it.
  std::function<double(jobs::JobId, double prompt_token_s, double output_token_s)> longest_chain_s =
      {};
};

// Shares of ranks x wall-clock that a perfect division of the baseline's work would not have
// needed; their sum is 1 - efficiency. A negative one was gained.
struct Losses {
  double compute = 0, sampling = 0, communication = 0, bubble = 0, output = 0, unattributed = 0;
  double sum() const { return compute + sampling + communication + bubble + output + unattributed; }
};

// One point. Its wall-clock, throughput and what follows from them are those of the usual run,
// whose wall-clock is the median (of an even number, the shorter of the middle two), so that a
// row's figures belong together; other figures are medians. Nothing where there is none to compare
// with.
struct ReportRow {
  std::string role;
  jobs::JobSpec spec;
  std::string settings = {};  // in which it differs from others, beside the table's columns
  int wanted = 1;
  std::int64_t ranks() const { return spec.shape.ranks(); }
  bool is_independent() const { return !role.empty(); }

  Summary wall_clock_s = {};
  double output_tokens_per_s = 0, total_tokens_per_s = 0;
  std::int64_t prompt_tokens = 0, output_tokens = 0;
  double io_s = 0, preprocess_s = 0;  // the longest stage's
  double communication_s = 0;         // the longest stage's
  double communication_share = 0;     // of the wall-clock
  double unattributed_share = 0;      // the largest stage's, of the wall-clock
  std::optional<double> speedup = {}, efficiency = {}, bound = {};  // bound: of the speedup
  std::optional<double> batch_efficiency = {};
  std::optional<double> of_independent = {};    // against as many ranks that share nothing
  std::optional<double> against_best = {};      // efficiency against the best run of one rank
  std::optional<double> prediction_error = {};  // predicted over measured, - 1
  std::optional<Losses> losses = {};
  std::optional<MeasuredRun> usual = {};  // a run; always there
};

struct ScalingReport {
  std::string title, kind;
  std::string baseline = {};  // what speedups are over; empty: nothing to compare with
  std::string model = {}, precision = {};
  std::set<std::string> processors = {};  // of all nodes
  std::vector<ReportRow> rows = {};  // those with measurements
  std::optional<ReportRow> best_single = {};
  std::optional<double> serial_share = {};  // Amdahl's of strong studies, Gustafson's of weak ones
  std::vector<std::string> findings = {}, warnings = {};
};

// The spec without what a report does not compare: who, when, where, by which program.
jobs::JobSpec comparable(const jobs::JobSpec& spec);

ScalingReport make_report(const ReportInput& input);

// report_findings.cpp: sentences, from the figures.
void find(ScalingReport& report);
void warn(ScalingReport& report, const ReportInput& input);

}  // namespace sluice::scheduler
