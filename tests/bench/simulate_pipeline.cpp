// What a job would take on 1, 2, ... stages of one core each, by simulation of its schedule with
// stage times that are measured here, each stage alone:
//   taskset -c 0 simulate_pipeline JOB_DIR STAGES_MAX [RUN_DIR ...]
// The partition is the one a run would choose. RUN_DIR: folders of finished runs of that job on
// more than one rank, whose timelines say what their micro-batches took on each stage: each run is
// simulated with these, and the stage times are scaled to them, apart for layers and head, since
// ranks of one machine take memory and caches from each other. tests/bench/two-ranks.sh shows it
// all beside real runs.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>
#include <vector>

#include "jobs/layout.h"
#include "jobs/spec.h"
#include "jobs/trace.h"
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

// What a run's micro-batches took on each stage.
struct MeasuredRun {
  struct Took {
    double layers_s = 0, head_s = 0;
    int rows = 0;
  };
  std::vector<std::vector<Took>> stages;  // by micro-batch
  double wall_s = 0;

  const Took* of(int stage, std::uint64_t step) const {  // null: there was none of that number
    const auto& took = stages.at(static_cast<std::size_t>(stage));
    return step < took.size() ? &took[static_cast<std::size_t>(step)] : nullptr;
  }
};

MeasuredRun read_run(const std::filesystem::path& run_dir) {
  MeasuredRun run;
  for (const auto& path : jobs::trace_files(run_dir)) {
    const jobs::Trace trace = jobs::read_trace(path);
    if (trace.head.overwritten > 0) {
      throw std::runtime_error(path.string() + ": its beginning is lost");
    }
    run.wall_s = static_cast<double>(trace.head.window_ns) * 1e-9;
    auto& took = run.stages.emplace_back();
    for (const jobs::TraceSpan& span : trace.spans) {
      if (span.micro_batch < 0) continue;
      const auto number = static_cast<std::size_t>(span.micro_batch);
      took.resize(std::max(took.size(), number + 1));
      const double seconds = static_cast<double>(span.end_ns - span.begin_ns) * 1e-9;
      if (span.kind == jobs::TraceKind::micro_batch) {
        took[number].rows = span.prefill_tokens + span.decode_tokens;
      } else if (span.kind == jobs::TraceKind::norm || span.kind == jobs::TraceKind::select) {
        took[number].head_s += seconds;
      } else if (sum_of(span.kind) == jobs::TraceSum::compute) {
        took[number].layers_s += seconds;
      }
    }
  }
  return run;
}

struct Sums {
  double alone_s = 0, in_run_s = 0;
  double ratio() const { return alone_s > 0 ? in_run_s / alone_s : 1; }
};

// Counts what micro-batches took in the run, and would have taken by the times of stages alone.
class Replay {
 public:
  // Ratios: for steps that the run had not.
  Replay(const MeasuredRun& run, const std::vector<StageTimes>& alone, double layers_ratio,
         double head_ratio)
      : run_(run),
        alone_(step_times(alone)),
        next_head_(alone.size()),
        layers_ratio_(layers_ratio),
        head_ratio_(head_ratio) {}

  StepTimes times() {
    return {.layers_s =
                [this](int stage, const batch::BatchPlan& plan) {
                  const auto* const took = run_.of(stage, plan.step);
                  const double alone_s = alone_.layers_s(stage, plan);
                  if (took != nullptr && took->rows == plan.rows()) {
                    return add(layers_, alone_s, took->layers_s);
                  }
                  ++others_;
                  return layers_ratio_ * alone_s;
                },
            .head_s = [this](int stage, int tokens) {  // in the order of the micro-batches
              const auto step = next_head_[static_cast<std::size_t>(stage)]++;
              const auto* const took = run_.of(stage, step);
              const double alone_s = alone_.head_s(stage, tokens);
              return took != nullptr ? add(head_, alone_s, took->head_s) : head_ratio_ * alone_s;
            }};
  }
  const Sums& layers() const { return layers_; }
  const Sums& head() const { return head_; }
  int others() const { return others_; }  // of steps of other rows than simulated: scaled

 private:
  static double add(Sums& sums, double alone_s, double in_run_s) {
    sums.alone_s += alone_s;
    sums.in_run_s += in_run_s;
    return in_run_s;
  }

  const MeasuredRun& run_;
  StepTimes alone_;
  std::vector<std::uint64_t> next_head_;
  double layers_ratio_, head_ratio_;
  Sums layers_, head_;
  int others_ = 0;
};

}  // namespace

int main(int count, char** words) {
  if (count < 3) {
    std::cerr << "simulate_pipeline JOB_DIR STAGES_MAX [RUN_DIR ...]\n";
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
  const auto simulate_plan = [&](std::size_t i, const StepTimes& step_times) {
    return simulate_replica(plans[i], model, spec, kv_room(plans[i], model, spec, 0), step_times,
                            sample.sequences);
  };

  nlohmann::ordered_json report{{"runs", nlohmann::ordered_json::array()}};
  Sums layers, head;
  for (int i = 3; i < count; ++i) {
    const MeasuredRun measured = read_run(words[i]);
    const std::size_t plan = measured.stages.size() - 1;
    Replay first(measured, times.at(plan), 1, 1);
    simulate_plan(plan, first.times());
    Replay replay(measured, times.at(plan), first.layers().ratio(), first.head().ratio());
    const auto run = simulate_plan(plan, replay.times());
    for (const auto& [to, from] : {std::pair{&layers, &replay.layers()}, {&head, &replay.head()}}) {
      to->alone_s += from->alone_s;
      to->in_run_s += from->in_run_s;
    }
    report["runs"].push_back({{"stages", measured.stages.size()},
                              {"wall_s", measured.wall_s},
                              {"simulated_s", run.wall_s},
                              {"micro_batches", run.micro_batches},
                              {"other_micro_batches", replay.others()}});
  }
  report["layers_ratio"] = layers.ratio();
  report["head_ratio"] = head.ratio();
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const StepTimes alone = step_times(times[i]);
    const auto run = simulate_plan(
        i,
        {.layers_s = [&](int stage,
                         const auto& plan) { return layers.ratio() * alone.layers_s(stage, plan); },
         .head_s = [&](int stage,
                       int tokens) { return head.ratio() * alone.head_s(stage, tokens); }});
    report["layouts"].push_back({{"stages", plans[i].stages()},
                                 {"partition", pipeline::to_string(plans[i].ranges)},
                                 {"wall_s", run.wall_s},
                                 {"compute_s", run.compute_s},
                                 {"micro_batches", run.micro_batches}});
  }
  std::cout << report.dump() << "\n";
}
