#include "tests/worker/pipelines.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>
#include <utility>

#include "kernels/cpu.h"
#include "worker/pipeline/partition.h"

namespace sluice::worker {

std::vector<ReferenceCase> read_cases(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::vector<ReferenceCase> cases;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line);
    ReferenceCase one;
    one.id = json.at("id").get<std::string>();
    one.prompt = json.at("prompt_token_ids").get<std::vector<std::int32_t>>();
    one.output = json.at("output_token_ids").get<std::vector<std::int32_t>>();
    one.output_ignoring_eos = json.value("ignore_eos_output_token_ids", one.output);
    one.max_tokens = json.at("max_tokens").get<int>();
    one.finish_reason = json.at("finish_reason").get<std::string>();
    one.text = json.value("text", "");
    one.margins = json.value("margins", one.margins);
    one.prompt_logprobs = json.value("prompt_logprobs", one.prompt_logprobs);
    cases.push_back(std::move(one));
  }
  return cases;
}

std::vector<std::filesystem::path> tiny_models() {
  std::vector<std::filesystem::path> models;
  const auto tiny = std::filesystem::path(SLUICE_TEST_DATA) / "tiny";
  for (const auto& folder : std::filesystem::directory_iterator(tiny)) {
    models.push_back(folder.path());
    if (const auto file = folder.path() / "model.gguf"; std::filesystem::exists(file)) {
      models.push_back(file);
    }
  }
  std::ranges::sort(models);
  return models;
}

std::filesystem::path folder_of(const std::filesystem::path& tiny_model) {
  return is_directory(tiny_model) ? tiny_model : tiny_model.parent_path();
}

std::string tiny_model_name(const std::filesystem::path& tiny_model) {
  std::string name = folder_of(tiny_model).filename().string();
  std::ranges::replace(name, '-', '_');
  return is_directory(tiny_model) ? name : name + "_gguf";
}

jobs::Prompt prompt_of(const ReferenceCase& reference, std::int64_t index) {
  jobs::Prompt prompt;
  prompt.index = index;
  prompt.id = reference.id;
  prompt.token_ids = reference.prompt;
  prompt.max_tokens = reference.max_tokens;
  return prompt;
}

PipelineRun answer_all(const model::Model& model, const PipelineShape& shape,
                       const std::vector<jobs::Prompt>& prompts, const PipelineHooks& hooks) {
  pipeline::Plan plan;
  const auto costs = pipeline::costs_of(model, {.prompt_tokens = 1, .output_tokens = 1},
                                        shape.batch_size, shape.precision);
  plan.ranges = pipeline::best_partition(costs, shape.stages, shape.head_split);
  plan.batch_size = shape.batch_size;
  plan.token_budget = shape.token_budget;
  plan.max_positions = shape.kv_tokens.value_or(512);
  IntakeRules rules;
  rules.max_positions = plan.max_positions;
  pipeline::LocalWorld world(shape.stages);
  if (hooks.work_delay) world.delay(pipeline::Channel::micro_batch, *hooks.work_delay);

  PipelineRun run;
  const auto setup = [&](int rank) {
    return EngineSetup{.make_backend =
                           [&, rank] {
                             return hooks.make_backend
                                        ? hooks.make_backend(rank)
                                        : kernels::make_cpu_backend(shape.precision, shape.cpu);
                           },
                       .prompts = static_cast<std::int64_t>(prompts.size()),
                       .max_tokens = 64,
                       .memory_bytes = shape.kv_tokens ? 0 : std::uint64_t{1} << 30};
  };
  const auto at_end = [&](int rank, Engine& engine) {
    PipelineRun::Rank& figures = run.ranks[rank];
    for (std::size_t c = 0; c < pipeline::kCategories; ++c) {
      const auto category = static_cast<pipeline::Category>(c);
      figures.seconds[category] = engine.clock().seconds(category);
    }
    figures.wall_s = engine.clock().wall_s();
    figures.counts = engine.stage().counts();
  };
  std::size_t next = 0;
  bool waited = false;
  run.report = run_locally(
      world, {.model = model, .plan = plan, .rules = rules, .setup = setup, .at_end = at_end},
      {.prompts = {.next = [&]() -> std::optional<jobs::Prompt> {
                     if (next == prompts.size()) return std::nullopt;
                     if (hooks.prompt_delay && next > 0 && !std::exchange(waited, false))
                       return std::nullopt;
                     return prompts[next++];
                   },
                   .wait =
                       [&](const std::stop_token&) {
                         if (hooks.prompt_delay) std::this_thread::sleep_for(*hooks.prompt_delay);
                         waited = true;
                         return next < prompts.size();
                       }},
       .answer =
           [&](const jobs::Result& result) {
             run.results.emplace(result.index, result);
             if (hooks.answered) hooks.answered();
           },
       .generated = [](int) {},
       .should_stop = [&] { return hooks.should_stop && hooks.should_stop(); },
       .make_durable = [] {}});
  run.work_transit_s = world.transit_s(pipeline::Channel::micro_batch);
  return run;
}

}  // namespace sluice::worker
