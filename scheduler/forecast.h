// What a submission would take in some layouts: `sluice-worker plan` simulates it, with a
// calibration that the database keeps, and finished jobs of the same model correct it.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "db/store.h"
#include "scheduler/submission.h"
#include "slurm/command.h"

namespace sluice::scheduler {

struct LayoutForecast {
  jobs::Shape shape;
  std::string problem;  // why it is not possible; empty: the rest is filled in
  std::string note;     // of whoever asked
  std::string partition;
  db::JobPrediction prediction;
  std::int64_t prompt_tokens = 0;
  std::int64_t weight_bytes = 0, kv_bytes = 0;  // of the largest rank
  std::vector<double> busy_shares;              // by stage

  double output_tokens_per_s() const {
    return prediction.wall_clock_s > 0 ? prediction.output_tokens / prediction.wall_clock_s : 0;
  }
  double node_hours() const { return shape.nodes * prediction.elapsed_s / 3600; }
};

struct Forecast {
  jobs::CostScales cost_scales;  // for the job's spec; its processor is the one that was measured
  std::string nodes_cpu;         // where such jobs ran; empty: not known
  std::vector<LayoutForecast> layouts;
};

// Layouts of so many ranks: each number of stages that divides them, replicas for the rest.
std::vector<jobs::Shape> layouts_of(int nodes, int ranks_per_node, int stages_max);

// `folder` holds the prompts (jobs::Layout::prompts()) and takes what is handed to the worker.
// `store`: may be missing. Throws scheduler::Error with the worker's own words.
Forecast forecast(const slurm::RunCommand& run, db::Store* store, const Submission& submission,
                  const std::filesystem::path& folder, std::span<const jobs::Shape> shapes);

// Measures the model on a node that the job would get, for forecasts from then on: login nodes may
// have another processor. `folder` as above, where nodes see it. Throws as above, and where no node
// is free within a minute.
void measure_on_node(const slurm::RunCommand& run, db::Store& store, const Submission& submission,
                     const std::filesystem::path& folder, std::span<const jobs::Shape> shapes);

// The least wall-clock; nothing: none is possible.
const LayoutForecast* fastest(const Forecast& forecast);

// As sbatch takes it: half as much again as expected, and some minutes.
std::string suggested_time(const LayoutForecast& layout);

}  // namespace sluice::scheduler
