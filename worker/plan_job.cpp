#include "worker/plan_job.h"

#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>

#include "jobs/exit_status.h"
#include "jobs/files.h"
#include "jobs/layout.h"
#include "worker/error.h"
#include "worker/make_plan.h"
#include "worker/predict.h"

namespace sluice::worker {
namespace {

using Json = nlohmann::ordered_json;

jobs::Shape parse_shape(const std::string& word) {
  jobs::Shape shape;
  int* const parts[] = {&shape.nodes, &shape.ranks_per_node, &shape.replicas, &shape.stages};
  const char* at = word.data();
  const char* const end = at + word.size();
  for (int* part : parts) {
    const auto [stop, error] = std::from_chars(at, end, *part);
    const bool is_last = part == parts[3];
    if (error != std::errc{} || (is_last ? stop != end : stop == end || *stop != 'x')) {
      throw Error("'" + word +
                  "' is no layout like 2x1x1x2: nodes, ranks per node, replicas, stages");
    }
    at = stop + 1;
  }
  if (const auto problem = jobs::shape_problem(shape); !problem.empty()) throw Error(problem);
  return shape;
}

Json shape_json(const jobs::Shape& shape) {
  return {{"nodes", shape.nodes},
          {"ranks_per_node", shape.ranks_per_node},
          {"replicas", shape.replicas},
          {"stages", shape.stages}};
}

void need_memory(const Prediction& prediction, std::uint64_t memory_bytes) {
  const std::uint64_t needed =
      std::ranges::max(prediction.weight_bytes) + std::ranges::max(prediction.kv_bytes);
  if (memory_bytes == 0 || needed <= memory_bytes) return;
  throw Error("the largest rank needs " + std::to_string(needed >> 20) + " MiB, and has " +
              std::to_string(memory_bytes >> 20) + " MiB");
}

Json prediction_json(const jobs::Shape& shape, const Prediction& prediction) {
  Json json = shape_json(shape);
  json["partition"] = pipeline::to_string(prediction.plan.ranges);
  json["wall_clock_s"] = prediction.wall_clock_s;
  json["load_s"] = prediction.load_s;
  json["weight_bytes"] = std::ranges::max(prediction.weight_bytes);
  json["kv_bytes"] = std::ranges::max(prediction.kv_bytes);
  json["busy_shares"] = Json::array();
  for (const double share : prediction.busy_shares) json["busy_shares"].push_back(share);
  return json;
}

Calibration calibration_for(const PlanJobOptions& options, const model::Model& model,
                            const jobs::JobSpec& spec) {
  if (!options.calibration.empty()) {
    try {
      return parse_calibration(jobs::read_file(options.calibration));
    } catch (const Error&) {
      // It is damaged, or an older worker's: measured again.
    }
  }
  const MeasuringSetup setup{.batch_size = spec.batch_size,
                             .token_budget = spec.token_budget,
                             .precision = *kernels::precision_named(spec.precision),
                             .threads = spec.threads,
                             .quick = true};
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  if (setup.threads > cores) {
    throw Error(std::to_string(setup.threads) + " threads cannot be measured on the " +
                std::to_string(cores) + " cores of this machine");
  }
  const int beside = std::clamp(options.beside, 1, std::max(1, cores / setup.threads));
  return measure_calibration(model, setup, beside);
}

Json plan(const PlanJobOptions& options) {
  const jobs::Layout layout(options.job_dir);
  jobs::JobSpec spec = jobs::load_spec(layout.spec());
  require_supported(spec);
  auto model = model::Model::open(spec.model);
  if (!spec.chat_template.empty()) model.use_chat_template(spec.chat_template);
  const Calibration calibration = calibration_for(options, model, spec);
  IntakeRules rules = intake_rules(spec);
  const auto mix = sample_mix(layout.prompts(), model, rules);
  rules.max_positions = spec.max_seq_len > 0 ? spec.max_seq_len : model.config().context;
  const auto sample =
      sample_prompts(layout.prompts(), spec.prompt_count, model, rules, options.answer_share);
  const auto scales = cost_scales(calibration, model, mix);
  const double times = sample.sequences.empty() ? 0
                                                : static_cast<double>(sample.prompts) /
                                                      static_cast<double>(sample.sequences.size());
  Json json{{"ok", true},
            {"calibration", Json::parse(to_json(calibration))},
            {"cost_scales",
             {{"prefill", scales.prefill},
              {"decode", scales.decode},
              {"head", scales.head},
              {"scoring_head", scales.scoring_head}}},
            {"prompts", sample.prompts},
            {"prompt_tokens", times * static_cast<double>(sample.prompt_tokens)},
            {"output_tokens", times * static_cast<double>(sample.output_tokens)},
            {"layouts", Json::array()}};
  for (const std::string& word : options.shapes) {
    spec.shape = parse_shape(word);
    try {
      const auto prediction = predict(spec, model, mix, sample, calibration, options.memory_bytes);
      need_memory(prediction, options.memory_bytes);
      json["layouts"].push_back(prediction_json(spec.shape, prediction));
    } catch (const Error& error) {
      Json problem = shape_json(spec.shape);
      problem["problem"] = error.what();
      json["layouts"].push_back(std::move(problem));
    }
  }
  return json;
}

}  // namespace

int plan_job(const PlanJobOptions& options, std::ostream& out) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // nobody else would read the answer
  try {
    out << plan(options).dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
    return 0;
  } catch (const std::exception& error) {
    out << Json{{"ok", false}, {"error", error.what()}}.dump(-1, ' ', false,
                                                             Json::error_handler_t::replace)
        << "\n";
    return jobs::kBadInput;
  }
}

}  // namespace sluice::worker
