// `sluice-worker bench`: how fast the engine alone is, in one process and on one device: no MPI, no
// queue, no text.
// Measures as llama.cpp's llama-batched-bench does: B prompts of PP tokens each are prefilled, then
// TG steps decode one token of each. Printing it is bench_report.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/gpu_peaks.h"
#include "worker/device.h"

namespace sluice::worker {

inline constexpr int kBatchSizeMax = 4096, kTokensMax = 10'000'000;  // on the command line
inline constexpr int kThreadsMax = 4096;                             // as `sluice submit` has it

struct BenchOptions {
  std::filesystem::path model;
  // Every combination is measured, lists are not empty; one of no tokens at all is left out.
  std::vector<int> prompt_tokens = {512};  // PP, 0: decode from an empty context
  std::vector<int> output_tokens = {128};  // TG, 0: prefill only
  std::vector<int> batch_sizes = {1, 4, 16, 32};
  int repeats = 3;
  int token_budget = 512;          // rows of a prefill pass, at most
  int threads = 1;                 // of the CPU's
  std::string precision = "fast";  // or high, exact
  DeviceWish device = {};
};

struct BenchShape {
  int pp = 0, tg = 0, batch = 0;  // tokens of a prompt, steps, sequences
  std::int64_t prompt_tokens() const { return std::int64_t{batch} * pp; }
  std::int64_t output_tokens() const { return std::int64_t{batch} * tg; }
};

struct BenchRow {
  BenchShape shape;
  std::vector<double> prefill_s = {}, decode_s = {};  // of each repeat
  double weight_bytes = 0, kv_bytes = 0;  // read in a decode step; of the cache on average
  // Multiplications and additions with the weights; attention is not counted.
  double prefill_ops = 0, decode_ops = 0;
  // What these would take with nothing to wait for (product_peak.h). Not of a GPU.
  double prefill_peak_s = NAN, decode_peak_s = NAN;
  // Of a repeat, where the device counts: a GPU's.
  std::optional<kernels::Work> prefill_work = {}, decode_work = {};
};

struct BenchReport {
  std::filesystem::path model;
  std::string architecture;
  std::uint64_t weight_bytes = 0, parameters = 0;  // of the model
  std::string backend, precision;
  int threads = 1;
  std::string gpu = {};  // its name; empty: the CPU
  std::optional<kernels::GpuPeaks> gpu_peaks = {};
  double read_bytes_per_s = NAN;  // what this core can (read_bandwidth.h); bench leaves it out
  std::vector<BenchRow> rows = {};
};

// `progress` is called with a line now and then, once 2 s have gone by. Throws worker::Error,
// before anything is loaded, when the options cannot be measured: a setting of a later version,
// threads of a GPU, more positions than the model has, more memory than there is.
BenchReport bench(const BenchOptions& options,
                  const std::function<void(const std::string&)>& progress);

}  // namespace sluice::worker
