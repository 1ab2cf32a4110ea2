#include "worker/generate.h"

#include <unistd.h>

#include <ostream>
#include <string>

#include "jobs/exit_status.h"
#include "jobs/files.h"
#include "jobs/prompts.h"
#include "jobs/results.h"
#include "jobs/spec.h"
#include "worker/error.h"
#include "worker/leader.h"
#include "worker/local_pipeline.h"
#include "worker/machine.h"
#include "worker/make_plan.h"

namespace sluice::worker {
namespace {

// The prompts as a job would hold them: checked, one line each. Removed with this object.
class NormalisedPrompts {
 public:
  explicit NormalisedPrompts(const GenerateOptions& options)
      : path_(std::filesystem::temp_directory_path() /
              ("sluice-generate-" + std::to_string(getpid()) + ".jsonl")) {
    summary_ = jobs::normalise_prompts({.input = options.prompts,
                                        .output = path_,
                                        .default_n = options.n,
                                        .chat = options.chat,
                                        .raw = options.raw});
    if (summary_.is_usable()) return;
    std::string problems;
    for (const jobs::LineProblem& problem : summary_.problems) {
      problems += "\n  line " + std::to_string(problem.line) + ": " + problem.what;
    }
    std::filesystem::remove(path_);
    throw Error(options.prompts.string() + ": " + std::to_string(summary_.problem_count) +
                " problem(s):" + problems);
  }
  ~NormalisedPrompts() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  NormalisedPrompts(const NormalisedPrompts&) = delete;
  NormalisedPrompts& operator=(const NormalisedPrompts&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::int64_t count() const { return summary_.prompts; }
  bool has_chats() const { return summary_.chats > 0; }

 private:
  std::filesystem::path path_;
  jobs::PromptSummary summary_;
};

jobs::JobSpec spec_of(const GenerateOptions& options) {
  jobs::JobSpec spec;
  spec.shape = {
      .nodes = 1, .ranks_per_node = options.stages, .replicas = 1, .stages = options.stages};
  spec.batch_size = options.batch_size;
  spec.max_tokens = options.max_tokens;
  spec.max_seq_len = options.max_seq_len;
  spec.token_budget = options.token_budget;
  spec.precision = options.precision;
  spec.kv_dtype = options.kv_dtype;
  spec.head_split = options.head_split;
  spec.threads = options.threads;
  spec.ignore_eos = options.ignore_eos;
  spec.stop_token_ids = options.stop_token_ids;
  spec.stop = options.stop;
  spec.n = options.n;
  spec.sampling = options.sampling;
  spec.chat = options.chat;
  spec.submitted_unix_s = static_cast<std::int64_t>(jobs::unix_time_s());
  return spec;
}

}  // namespace

int generate(const GenerateOptions& options, std::ostream& out) {
  if (const auto problem = jobs::problem_of(options.sampling); !problem.empty()) {
    throw Error(problem);
  }
  if (const auto problem = jobs::problem_of_stop(options.stop); !problem.empty()) {
    throw Error("--stop " + problem);
  }
  auto model = model::Model::open(options.model);
  if (!options.chat_template.empty()) model.use_chat_template(options.chat_template);
  const NormalisedPrompts normalised(options);
  if (const auto problem = model.chat().problem(); problem && normalised.has_chats()) {
    throw Error(*problem);
  }
  const jobs::JobSpec spec = spec_of(options);
  IntakeRules rules = intake_rules(spec);
  const auto mix = sample_mix(normalised.path(), model, rules);
  const pipeline::Plan plan = make_plan(spec, model, mix, options.stages);
  rules.max_positions = plan.max_positions;
  const auto precision = *kernels::precision_named(options.precision);  // make_plan has seen to it
  const auto setup = [&](int rank) {
    const Device device = device_for(options.device, rank);
    return EngineSetup{
        .make_backend = [precision, device,
                         threads =
                             options.threads] { return device.make_backend(precision, threads); },
        .kv_type = kv_type_of(spec),
        .prompts = normalised.count(),
        .max_tokens = options.max_tokens,
        .memory_bytes = available_memory_bytes() / static_cast<std::uint64_t>(options.stages)};
  };

  pipeline::LocalWorld world(options.stages);
  jobs::PromptReader reader(normalised.path());
  LeaderReport report;
  const auto lead = [&](pipeline::Link&, Engine& engine) {
    Leader leader(model, plan, rules, engine,
                  {.prompts = {.next = [&] { return reader.next(); }},
                   .answer = [&](const jobs::Result& result) { out << to_line(result) << '\n'; },
                   .generated = [](int) {},
                   .should_stop = [] { return false; },
                   .make_durable = [&] { out.flush(); }});
    report = leader.run();
  };
  run_locally(world, {.model = model, .plan = plan, .setup = setup, .lead = lead});
  if (!out) throw Error("writing the results failed: is the disk full?");
  return report.prompts_failed > 0 ? jobs::kSomeFailed : jobs::kAllAnswered;
}

}  // namespace sluice::worker
