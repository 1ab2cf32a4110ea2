// What a job would take in some layout, before it runs: the batcher and the schedule that it would
// execute (pipeline/simulation.h), with its prompts' own lengths and a calibration's times. Pure
// but for reading the prompts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "jobs/spec.h"
#include "worker/calibration.h"
#include "worker/intake.h"
#include "worker/pipeline/agreement.h"
#include "worker/pipeline/simulation.h"

namespace sluice::worker {

// Sequences of some of a job's prompts, evenly chosen where they are many.
struct PromptSample {
  std::vector<batch::Sequence> sequences;             // in input order
  std::int64_t prompts = 0;                           // of the job, those that can be answered
  std::int64_t prompt_tokens = 0, output_tokens = 0;  // of the sequences, as long as they may be
};
inline constexpr std::int64_t kPromptsPredicted = 2048;

// `answer_share`: how long answers are expected to be, of what they may be.
PromptSample sample_prompts(const std::filesystem::path& prompts, std::int64_t count,
                            const model::Model& model, const IntakeRules& rules,
                            double answer_share);

// What simulate() asks of stages (pipeline::SimulatedReplica).
struct StepTimes {
  std::function<double(int stage, const batch::BatchPlan& plan)> layers_s;
  std::function<double(int stage, int tokens)> head_s;
};
StepTimes step_times(const std::vector<StageTimes>& times);  // by stage; must outlive these

// The schedule of one replica that answers these, whose stages take such times.
pipeline::SimulatedRun simulate_replica(const pipeline::Plan& plan, const model::Model& model,
                                        const jobs::JobSpec& spec, const model::KvRoom& room,
                                        const StepTimes& times,
                                        const std::vector<batch::Sequence>& sequences);

// KV pages of each rank: the smallest stage's, as Engine::load() settles it. `memory_bytes` of a
// rank; 0: not known.
model::KvRoom kv_room(const pipeline::Plan& plan, const model::Model& model,
                      const jobs::JobSpec& spec, std::uint64_t memory_bytes);

struct Prediction {
  pipeline::Plan plan = {};
  double wall_clock_s = 0;
  std::vector<double> busy_shares = {};  // by stage: of the wall-clock, over all replicas
  double simulated_s = 0;                // the wall-clock of it
  double load_s = 0;                     // the slowest stage
  std::vector<std::uint64_t> weight_bytes = {}, kv_bytes = {};  // by stage
};

// `memory_bytes` of a rank; 0: not known. Throws worker::Error where the layout is not possible.
Prediction predict(const jobs::JobSpec& spec, const model::Model& model,
                   const pipeline::TokenMix& mix, const PromptSample& sample,
                   const Calibration& calibration, std::uint64_t memory_bytes);

}  // namespace sluice::worker
