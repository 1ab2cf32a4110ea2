// Helpers of the pipeline tests: reference cases, and local pipelines that answer them.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "jobs/prompts.h"
#include "jobs/results.h"
#include "jobs/trace.h"
#include "kernels/cpu.h"
#include "worker/leader.h"
#include "worker/local_pipeline.h"
#include "worker/pipeline/partition.h"

namespace sluice::worker {

// A line of tests/data/*/cases.jsonl or greedy.jsonl.
struct ReferenceCase {
  std::string id;
  std::string messages, rendered;  // of a chat: its JSON, and the text that it is to the model
  std::vector<std::int32_t> prompt, output, output_ignoring_eos;
  int max_tokens = 0;
  std::string finish_reason;
  std::string text;             // of the output, without its end; empty where the file has none
  std::vector<double> margins;  // of output: the best logit less the second; tiny models'
  std::vector<double> prompt_logprobs;  // of prompt[1] on; tiny models'
};
std::vector<ReferenceCase> read_cases(const std::filesystem::path& path);

// Those `count` with the shortest prompts.
std::vector<ReferenceCase> shortest(std::vector<ReferenceCase> cases, std::size_t count);

// The tiny models of tests/data: each folder, and the GGUF file that four of them hold too.
std::vector<std::filesystem::path> tiny_models();
std::filesystem::path folder_of(const std::filesystem::path& tiny_model);
std::string tiny_model_name(const std::filesystem::path& tiny_model);  // for GoogleTest

// A chat where the case is one, else its ids.
jobs::Prompt prompt_of(const ReferenceCase& reference, std::int64_t index);

struct PipelineShape {
  int replicas = 1, stages = 1, batch_size = 4, token_budget = 128;
  std::optional<int> kv_tokens = std::nullopt;  // room of every stage; none: as a job would choose
  kernels::Precision precision = kernels::Precision::exact;
  std::optional<kernels::KvType> kv_type = std::nullopt;  // none: of the precision
  pipeline::HeadSplit head_split = pipeline::HeadSplit::never;
  kernels::CpuOptions cpu = {};
  bool prefix_sharing = false;
  // Given texts are scored, in windows of so many positions.
  std::optional<int> score_positions = std::nullopt;
  int score_overlap = 1;
};

struct PipelineRun {
  std::map<std::int64_t, jobs::Result> results;  // by prompt
  LeaderReport report;                           // of all replicas
  struct Rank {
    std::map<pipeline::Category, double> seconds;
    double wall_s = 0;
    pipeline::StageCounts counts;
    jobs::Trace trace;  // since the window of the rank that ended first opened
  };
  std::map<int, Rank> ranks;
  double work_transit_s = 0;  // of all micro_batch messages, as the link saw them
};

struct PipelineHooks {
  std::function<std::unique_ptr<kernels::Backend>(int rank)> make_backend = {};
  std::optional<std::chrono::microseconds> work_delay =
      std::nullopt;  // of every micro_batch message
  // On the threads of leaders, one at a time.
  std::function<bool()> should_stop = {};
  std::function<void()> answered = {};
  // Each prompt takes so long to come; on the thread that reads them.
  std::optional<std::chrono::microseconds> prompt_delay = std::nullopt;
  std::set<std::int64_t> done = {};  // prompts that an earlier run has answered
};

// Requires: a prompt's index is its place.
PipelineRun answer_all(const model::Model& model, const PipelineShape& shape,
                       const std::vector<jobs::Prompt>& prompts, const PipelineHooks& hooks = {});

}  // namespace sluice::worker
