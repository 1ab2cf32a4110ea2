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
#include "jobs/spec.h"
#include "worker/calibrate.h"
#include "worker/intake.h"
#include "worker/make_plan.h"
#include "worker/predict.h"
#include "worker/stage_times.h"

namespace {

using namespace sluice;
using namespace sluice::worker;

constexpr int kTurns = 5;  // of measuring every stage

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

}  // namespace

int main(int count, char** words) {
  if (count != 3) {
    std::cerr << "simulate_pipeline JOB_DIR STAGES_MAX\n";
    return 2;
  }
  const jobs::Layout layout(words[1]);
  jobs::JobSpec spec = jobs::load_spec(layout.spec());
  const auto model = model::Model::open(spec.model);
  IntakeRules rules = intake_rules(spec);
  rules.max_positions = model.config().context;
  const auto sample = sample_prompts(layout.prompts(), spec.prompt_count, model, rules, 1);
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
    const auto run = simulate_replica(plans[i], model, spec, kv_room(plans[i], model, spec, 0),
                                      times[i], sample.sequences);
    report.push_back({{"stages", plans[i].stages()},
                      {"partition", pipeline::to_string(plans[i].ranges)},
                      {"wall_s", run.wall_s},
                      {"compute_s", run.compute_s},
                      {"micro_batches", run.micro_batches}});
  }
  std::cout << report.dump() << "\n";
}
