#include "tests/worker/pipelines.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>
#include <utility>

#include "kernels/cpu.h"
#include "tests/jobs/temp_dir.h"
#include "worker/pipeline/partition.h"
#include "worker/ranged_prompts.h"
#include "worker/replica_report.h"
#include "worker/supply.h"

namespace sluice::worker {

std::vector<ReferenceCase> read_cases(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::vector<ReferenceCase> cases;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::ordered_json::parse(line);
    ReferenceCase one;
    one.id = json.at("id").get<std::string>();
    if (json.contains("messages")) one.messages = json["messages"].dump();
    one.rendered = json.value("rendered", "");
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

std::vector<ReferenceCase> shortest(std::vector<ReferenceCase> cases, std::size_t count) {
  std::ranges::stable_sort(cases, {}, [](const ReferenceCase& one) { return one.prompt.size(); });
  cases.resize(std::min(cases.size(), count));
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
  if (reference.messages.empty()) {
    prompt.token_ids = reference.prompt;
  } else {
    prompt.chat = jobs::Chat{.messages = reference.messages};
  }
  prompt.max_tokens = reference.max_tokens;
  return prompt;
}

namespace {

// The prompts' numbers as a file of prompts: some of those under test could stand in no file.
std::string numbered_lines(std::size_t count) {
  std::string lines;
  for (std::size_t i = 0; i < count; ++i) {
    jobs::Prompt prompt;
    prompt.id = std::to_string(i);
    lines += to_line(prompt) + "\n";
  }
  return lines;
}

// What a replica reads: the prompts of the numbers that it was dealt.
class NumberedPrompts {
 public:
  NumberedPrompts(const std::filesystem::path& path, const std::vector<jobs::Prompt>& prompts,
                  std::optional<std::chrono::microseconds> delay)
      : numbers_(path), prompts_(prompts), delay_(delay) {}

  RangedPrompts& numbers() { return numbers_; }
  PromptSource source() {
    return {.next = [this] { return next(); },
            .wait = [this](const std::stop_token& stop) { return wait(stop); }};
  }

 private:
  std::optional<jobs::Prompt> next() {
    if (!has_come_) return std::nullopt;
    const auto number = numbers_.next();
    if (!number) return std::nullopt;
    has_come_ = !delay_;
    return prompts_[static_cast<std::size_t>(number->index)];
  }
  bool wait(const std::stop_token& stop) {
    if (delay_) std::this_thread::sleep_for(*delay_);
    has_come_ = true;
    return !numbers_.all_read() || numbers_.wait(stop);
  }

  RangedPrompts numbers_;
  const std::vector<jobs::Prompt>& prompts_;
  const std::optional<std::chrono::microseconds> delay_;
  bool has_come_ = true;  // the next prompt
};

}  // namespace

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
  plan.prefix_sharing = shape.prefix_sharing;
  rules.max_positions = shape.score_positions.value_or(plan.max_positions);
  rules.score = shape.score_positions.has_value();
  rules.score_overlap = shape.score_overlap;
  pipeline::LocalWorld world(shape.replicas * shape.stages);
  if (hooks.work_delay) world.delay(pipeline::Channel::micro_batch, *hooks.work_delay);

  PipelineRun run;
  const auto setup = [&](int rank) {
    return EngineSetup{.make_backend =
                           [&, rank] {
                             return hooks.make_backend
                                        ? hooks.make_backend(rank)
                                        : kernels::make_cpu_backend(shape.precision, shape.cpu);
                           },
                       .kv_type = shape.kv_type.value_or(kernels::kv_type_of(shape.precision)),
                       .prompts = static_cast<std::int64_t>(prompts.size()),
                       .max_tokens = 64,
                       .memory_bytes = shape.kv_tokens ? 0 : std::uint64_t{1} << 30};
  };
  std::optional<double> origin_s;
  const auto at_end = [&](int rank, Engine& engine) {
    PipelineRun::Rank& figures = run.ranks[rank];
    for (std::size_t c = 0; c < pipeline::kCategories; ++c) {
      const auto category = static_cast<pipeline::Category>(c);
      figures.seconds[category] = engine.clock().seconds(category);
    }
    figures.wall_s = engine.clock().wall_s();
    figures.counts = engine.stage().counts();
    if (!origin_s) origin_s = engine.clock().opened_s();
    figures.trace = engine.clock().trace().since(*origin_s);
    figures.trace.head.rank = rank;
    figures.trace.head.replica = plan.replica(rank);
    figures.trace.head.stage = plan.place(rank).stage;
    figures.trace.head.clock_error_s = engine.clock_offset().error_s;
  };
  const tests::TempDir folder;
  const auto numbers_path = folder.write("prompts.jsonl", numbered_lines(prompts.size()));
  const jobs::PromptIndex lines(numbers_path);
  const auto deals = [&] {
    return batch::RangeDealer(
        {.prompts = lines.prompts(),
         .to_do = lines.prompts() - static_cast<std::int64_t>(hooks.done.size()),
         .replicas = shape.replicas,
         .is_done = [&](std::int64_t i) { return hooks.done.contains(i); },
         .stride = jobs::PromptIndex::kStride,
         .offset = [&](std::int64_t i) { return lines.offset(i); }});
  };
  ReplicaReport all;
  std::mutex mutex;  // of `all`, of run.results, and of calling hooks
  const auto lead = [&](pipeline::Link& link, Engine& engine) {
    NumberedPrompts mine(numbers_path, prompts, hooks.prompt_delay);
    Supply supply(link, shape.stages, mine.numbers(),
                  link.rank() == 0 ? std::optional(deals()) : std::nullopt);
    const auto answer = [&](const jobs::Result& result) {
      const std::lock_guard lock(mutex);
      EXPECT_TRUE(run.results.emplace(result.index, result).second)
          << "answered twice: prompt " << result.index;
      run.results.at(result.index).replica = plan.replica(link.rank());
      if (hooks.answered) hooks.answered();
    };
    const auto should_stop = [&] {
      const std::lock_guard lock(mutex);
      if (hooks.should_stop && hooks.should_stop()) supply.stop();
      return supply.stopped();
    };
    Leader leader(model, plan, rules, engine,
                  {.prompts = mine.source(),
                   .answer = answer,
                   .generated = [](int) {},
                   .should_stop = should_stop,
                   .make_durable = [] {},
                   .attend = [&](bool hungry) { supply.attend(hungry); }});
    const ReplicaReport report{.leader = leader.run()};
    supply.leave();
    const std::lock_guard lock(mutex);
    add(all, report);
  };
  run_locally(world,
              {.model = model, .plan = plan, .setup = setup, .lead = lead, .at_end = at_end});
  run.report = std::move(all.leader);
  run.work_transit_s = world.transit_s(pipeline::Channel::micro_batch);
  return run;
}

}  // namespace sluice::worker
