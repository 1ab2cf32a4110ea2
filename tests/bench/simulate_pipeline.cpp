// What a job would take on 1, 2, ... stages of one core each, by simulation of its schedule with
// stage times that are measured here, each stage alone:
//   taskset -c 0 simulate_pipeline JOB_DIR STAGES_MAX
// The partition is the one a run would choose. tests/bench/two-ranks.sh shows it beside real runs.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "jobs/layout.h"
#include "jobs/prompts.h"
#include "jobs/spec.h"
#include "worker/batch/prompt_window.h"
#include "worker/calibrate.h"
#include "worker/intake.h"
#include "worker/make_plan.h"
#include "worker/pipeline/simulation.h"
#include "worker/stage_times.h"

namespace {

using namespace sluice;
using namespace sluice::worker;

// Between two ranks of one machine, about.
constexpr pipeline::Network kSharedMemory{.latency_s = 20e-6, .bytes_per_s = 4e9};
constexpr int kTurns = 5;            // of measuring every stage
constexpr double kLeader_s = 60e-6;  // for each micro-batch: plans, tokens, texts

std::vector<batch::Sequence> sequences_of(const jobs::Layout& layout, const jobs::JobSpec& spec,
                                          const model::Model& model) {
  jobs::PromptReader reader(layout.prompts());
  batch::PromptWindow window(spec.max_tokens);
  while (window.has_room()) {
    auto prompt = reader.next();
    if (!prompt) break;
    window.add(*std::move(prompt));
  }
  std::vector<batch::Sequence> sequences;
  IntakeRules rules = intake_rules(spec);
  rules.max_positions = model.config().context;
  while (const auto prompt = window.take()) {
    auto taken = take_in(*prompt, model, rules);
    auto& sequence = std::get<batch::Sequence>(taken);
    sequence.stop_token_ids.clear();
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

// Whoever shares the machine only ever adds time.
void take_least(std::map<int, double>& into, const std::map<int, double>& other) {
  for (auto& [rows, seconds] : into) seconds = std::min(seconds, other.at(rows));
}

// Of each plan's stages, measured in turns, so that a slow minute of the machine meets them all.
std::vector<std::vector<StageTimes>> measure_stages(const std::vector<pipeline::Plan>& plans,
                                                    const model::Model& model,
                                                    const jobs::JobSpec& spec) {
  std::vector<std::vector<StageTimes>> least(plans.size());
  for (int turn = 0; turn < kTurns; ++turn) {
    for (std::size_t i = 0; i < plans.size(); ++i) {
      for (std::size_t s = 0; s < plans[i].ranges.size(); ++s) {
        auto times = measure_stage(model, plans[i].ranges[s], measuring_setup(spec, plans[i]));
        if (turn == 0) {
          least[i].push_back(std::move(times));
          continue;
        }
        StageTimes& of_stage = least[i][s];
        take_least(of_stage.layers_s, times.layers_s);
        take_least(of_stage.head_s, times.head_s);
        of_stage.decode_position_s = std::min(of_stage.decode_position_s, times.decode_position_s);
        of_stage.prefill_position_s =
            std::min(of_stage.prefill_position_s, times.prefill_position_s);
      }
    }
  }
  return least;
}

pipeline::SimulatedRun simulate_job(const pipeline::Plan& plan,
                                    const std::vector<StageTimes>& times, const model::Model& model,
                                    const jobs::JobSpec& spec,
                                    const std::vector<batch::Sequence>& sequences) {
  const auto of = [&](int stage) -> const StageTimes& {
    return times[static_cast<std::size_t>(stage)];
  };
  const auto layout = kv_layout(model.config(), plan.token_budget);
  // As a job would choose it where memory sets no limit.
  const auto room = model::room_wanted({.max_seq_len = plan.max_positions,
                                        .max_tokens = spec.max_tokens,
                                        .batch_size = plan.batch_size,
                                        .stages = plan.stages(),
                                        .prompts = static_cast<std::int64_t>(sequences.size()),
                                        .layout = layout},
                                       {.full = 1, .ring = 1}, std::uint64_t{1} << 40);
  std::size_t taken = 0;
  return pipeline::simulate(
      {.ranges = plan.ranges,
       .hidden = model.config().hidden,
       .layers_s = [&](int stage, const auto& p) { return of(stage).of_layers(p); },
       .head_s = [&](int stage, int tokens) { return of(stage).of_head(tokens); },
       .network = kSharedMemory,
       .leader_s = kLeader_s},
      batch::Batcher({.batch_size = plan.batch_size,
                      .token_budget = plan.token_budget,
                      .stages = plan.stages()},
                     model::PagePool(room, layout)),
      [&]() -> std::optional<batch::Sequence> {
        if (taken == sequences.size()) return std::nullopt;
        return sequences[taken++];
      });
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) {
    std::cerr << "simulate_pipeline JOB_DIR STAGES_MAX\n";
    return 2;
  }
  const jobs::Layout layout(words[1]);
  jobs::JobSpec spec = jobs::load_spec(layout.spec());
  const auto model = model::Model::open(spec.model);
  const auto sequences = sequences_of(layout, spec, model);
  const auto mix = sample_mix(layout.prompts(), model, intake_rules(spec));
  std::vector<pipeline::Plan> plans;
  for (int stages = 1; stages <= std::atoi(words[2]); ++stages) {
    spec.shape = {.nodes = stages, .ranks_per_node = 1, .replicas = 1, .stages = stages};
    plans.push_back(make_plan(spec, model, mix, stages, [&](const pipeline::Plan& plan) {
      return calibrate(model, mix, measuring_setup(spec, plan));
    }));
  }
  const auto times = measure_stages(plans, model, spec);
  auto report = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const auto run = simulate_job(plans[i], times[i], model, spec, sequences);
    report.push_back({{"stages", plans[i].stages()},
                      {"partition", pipeline::to_string(plans[i].ranges)},
                      {"wall_s", run.wall_s},
                      {"compute_s", run.compute_s},
                      {"micro_batches", run.micro_batches}});
  }
  std::cout << report.dump() << "\n";
}
