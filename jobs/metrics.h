// What a run did and how long it took: the values in started.json, progress-*.json, stage-*.json,
// metrics.json and exit.json. Definitions: docs/data-model.md ("What is measured"). All times in
// seconds; `*_unix_s` since the epoch.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/ids.h"

namespace sluice::jobs {

inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

struct Started {
  RunId run;
  std::string cluster_id;  // Slurm's job id, or the local supervisor's
  double started_unix_s = 0;
  std::vector<std::string> hosts;  // by rank
  std::string partition_text;      // "0-18 | 19-29 + head"
  std::string backend = "cpu";     // that computes: cpu, cuda, "cuda 7.5" (docs/cuda.md)
};

struct Progress {
  std::int64_t prompts_total = 0;
  std::int64_t prompts_done = 0;    // durable, of all runs
  std::int64_t prompts_failed = 0;  // of those
  std::int64_t output_tokens = 0;   // of this run
  double output_tokens_per_s = 0;   // over the last few seconds
  double wall_clock_s = 0;          // of this run's window, so far
  // Of the last few seconds, how much each stage computed; empty: not known.
  std::vector<std::int32_t> stage_busy_percent = {};
  double updated_unix_s = 0;
};

// One rank of one run. Two sums, each whole within 1 %:
//   elapsed_s = launch + load + preprocess + wall_clock + teardown + elapsed_unattributed
//   wall_clock_s = prefill + decode + sampling + communication + bubble + output + unattributed
struct StageMetrics {
  int rank = 0, replica = 0, stage = 0;
  std::string host;
  std::string cpu;    // what computed: its model and the kernels' instruction set, or the GPU
  std::string cores;  // "3": what the rank was pinned to; empty: not pinned
  int first_layer = 0, last_layer = -1;          // inclusive
  bool has_embedding = false, has_head = false;  // has_head: rows of it, whole or a share
  double elapsed_s = 0, launch_s = 0, load_s = 0, preprocess_s = 0, wall_clock_s = 0,
         teardown_s = 0, elapsed_unattributed_s = 0;
  double prefill_s = 0, decode_s = 0, sampling_s = 0, communication_s = 0, bubble_s = 0,
         output_s = 0, unattributed_s = 0;
  // Of a device with a clock of its own, beside the sums: wall_clock_s = compute + wait, while
  // copies overlap both.
  double device_compute_s = kNotMeasured, device_copy_s = kNotMeasured,
         device_wait_s = kNotMeasured;
  double clock_error_s = 0;  // of the alignment that divides waits into communication and bubble
  std::int64_t micro_batches = 0, prefill_tokens = 0, decode_tokens = 0;
  std::int64_t decode_micro_batches = 0;        // those that continue an answer
  double micro_batch_occupancy = kNotMeasured;  // their sequences / batch_size, the mean
  std::int64_t weight_bytes = 0, kv_bytes = 0, bytes_sent = 0, messages_sent = 0;
};

inline bool measured_by_device(const StageMetrics& stage) {
  return !std::isnan(stage.device_compute_s);
}

struct Quantiles {  // of nothing: not measured
  double p50 = kNotMeasured, p90 = kNotMeasured, p99 = kNotMeasured;
};

// One run as a whole.
struct RunMetrics {
  RunId run;
  double wall_clock_s = 0;                          // first prompt admitted to last result durable
  double elapsed_s = 0;                             // the longest rank's
  double io_s = 0;                                  // the longest stage's load
  double preprocess_s = 0;                          // the longest stage's
  std::int64_t prompts_ok = 0, prompts_failed = 0;  // answered by this run
  std::int64_t prompt_tokens = 0, output_tokens = 0, wasted_tokens = 0;
  std::int64_t shared_prompt_tokens = 0;  // of prompt_tokens: computed for another prompt
  double output_tokens_per_s = 0, total_tokens_per_s = 0;
  std::int64_t micro_batches = 0;               // of all replicas
  double micro_batch_occupancy = kNotMeasured;  // of those that continue an answer
  Quantiles queue_s, ttft_s, tpot_s, latency_s;
};

// Written by the worker itself, last: Slurm's word alone proves nothing.
struct ExitRecord {
  RunId run;
  int exit_code = 0;    // 0 all answered, 75 stopped early and wants to be resumed, else failed
  std::string outcome;  // completed | stopped | failed
  std::string message;  // why
  std::int64_t prompts_done = 0, prompts_failed = 0;  // durable, of all runs
  double ended_unix_s = 0;
};

std::string to_json(const Started&);
std::string to_json(const Progress&);
std::string to_json(const StageMetrics&);
std::string to_json(const RunMetrics&);
std::string to_json(const ExitRecord&);
// Throw jobs::Error on anything that is not such a file of a known format_version.
Started parse_started(std::string_view json);
Progress parse_progress(std::string_view json);
StageMetrics parse_stage_metrics(std::string_view json);
RunMetrics parse_run_metrics(std::string_view json);
ExitRecord parse_exit_record(std::string_view json);

}  // namespace sluice::jobs
