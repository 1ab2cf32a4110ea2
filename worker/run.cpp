#include "worker/run.h"

#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "jobs/files.h"
#include "jobs/layout.h"
#include "jobs/metrics.h"
#include "jobs/prompts.h"
#include "jobs/results.h"
#include "jobs/spec.h"
#include "kernels/cpu.h"
#include "worker/cores.h"
#include "worker/earlier_runs.h"
#include "worker/engine.h"
#include "worker/error.h"
#include "worker/layout.h"
#include "worker/leader.h"
#include "worker/log.h"
#include "worker/machine.h"
#include "worker/phase_clock.h"
#include "worker/pipeline/agreement.h"
#include "worker/pipeline/collective.h"
#include "worker/result_writer.h"
#include "worker/run_report.h"
#include "worker/stop_signal.h"
#include "worker/wire.h"

namespace sluice::worker {
namespace {

using pipeline::Bytes;
using pipeline::Link;

// The job as this rank sees it: its spec and its model, or why not.
struct Job {
  jobs::JobSpec spec;
  std::optional<model::Model> model;
  std::string problem;

  explicit Job(const jobs::Layout& layout) {
    try {
      spec = jobs::load_spec(layout.spec());
      model = model::Model::open(spec.model);
    } catch (const std::exception& error) {
      problem = error.what();
    }
  }

  pipeline::Offer offer(const std::string& host) const {
    pipeline::Offer offer{.host = host, .problem = problem};
    if (model) {
      offer.model_bytes = model->file().file_bytes();
      offer.model_hash = model->file().header_hash();
    }
    return offer;
  }
};

class Run {
 public:
  Run(const RunOptions& options, Link& world, const pipeline::NodePlace& node)
      : options_(options),
        world_(world),
        node_(node),
        layout_(options.job_dir),
        phases_(options.script_start_unix_s) {}

  int go();

 private:
  bool leads() const { return world_.rank() == 0; }
  pipeline::Plan decide(const Job& job) const;
  int refuse(const std::string& problem);
  void announce(const pipeline::Plan& plan);
  EngineNeeds needs(const jobs::JobSpec& spec) const;
  LeaderReport lead(const Job& job, const pipeline::Plan& plan, Engine& engine);
  jobs::ExitRecord conclude(const jobs::JobSpec& spec, const LeaderReport& report) const;
  int farewell(const pipeline::Plan& plan, Engine& engine, const Cores& cores,
               const LeaderReport& report, const jobs::ExitRecord& exit);
  void write_exit(const jobs::ExitRecord& exit);

  const RunOptions& options_;
  Link& world_;
  const pipeline::NodePlace& node_;
  const jobs::Layout layout_;
  PhaseClock phases_;
  std::optional<Log> log_;              // rank 0
  std::optional<ResultWriter> writer_;  // rank 0
};

int Run::go() {
  phases_.begin(Phase::preprocess);
  open_control(world_);
  const Job job(layout_);
  const pipeline::Agreement agreed =
      agree(world_, job.offer(node_.host), [&] { return decide(job); });
  if (!agreed.problem.empty()) return refuse(agreed.problem);
  const pipeline::Plan& plan = agreed.plan;
  if (leads()) announce(plan);

  phases_.begin(Phase::load);
  const Cores cores(node_.local_rank, node_.local_size);
  Engine engine(world_, *job.model, plan, needs(job.spec));

  phases_.begin(Phase::preprocess);
  LeaderReport report;
  jobs::ExitRecord exit;
  if (leads()) {
    report = lead(job, plan, engine);
    exit = conclude(job.spec, report);
  } else {
    engine.stage().serve();
  }
  return farewell(plan, engine, cores, report, exit);
}

pipeline::Plan Run::decide(const Job& job) const {
  const auto mix = sample_mix(layout_.prompts(), job.model->tokenizer(), job.spec.max_tokens);
  return lay_out(job.spec, *job.model, mix, world_.size());
}

int Run::refuse(const std::string& problem) {
  if (leads()) {
    record_failure(options_, kBadJob, problem);
    Log(layout_.worker_log(options_.run)).warn("refused: " + problem);
  }
  return kBadJob;
}

void Run::announce(const pipeline::Plan& plan) {
  std::filesystem::create_directories(layout_.run_dir(options_.run));
  std::filesystem::create_directories(layout_.results_dir());
  jobs::Started started;
  started.run = options_.run;
  started.cluster_id = options_.cluster_id;
  started.started_unix_s = jobs::unix_time_s();
  started.hosts = plan.hosts;
  started.partition_text = pipeline::to_string(plan.ranges);
  jobs::write_file_whole(layout_.started(options_.run), to_json(started));
  log_.emplace(layout_.worker_log(options_.run));
  log_->info("run " + to_string(options_.run) + ": " + std::to_string(world_.size()) +
             " rank(s), layers " + started.partition_text);
}

EngineNeeds Run::needs(const jobs::JobSpec& spec) const {
  return {.make_backend = [] { return kernels::make_cpu_backend(); },
          .prompts = spec.prompt_count,
          .max_tokens = spec.max_tokens,
          .memory_bytes = available_memory_bytes() / static_cast<std::uint64_t>(node_.local_size)};
}

LeaderReport Run::lead(const Job& job, const pipeline::Plan& plan, Engine& engine) {
  const jobs::JobSpec& spec = job.spec;
  const EarlierRuns earlier = read_earlier_runs(layout_, spec.prompt_count);
  if (earlier.done.unreadable_lines() > 0) {
    log_->warn(std::to_string(earlier.done.unreadable_lines()) +
               " result line(s) of earlier runs are damaged: their prompts are answered again");
  }
  log_->info(std::to_string(earlier.done.count()) + " of " + std::to_string(spec.prompt_count) +
             " prompts are done; KV room for " +
             std::to_string(engine.kv_pages() * kernels::kKvPageTokens) + " positions");
  writer_.emplace(WriterSetup{
      .layout = layout_,
      .run = options_.run,
      .replica = 0,
      .sync = spec.fsync == "none" ? jobs::ResultLog::Sync::none : jobs::ResultLog::Sync::group,
      .prompts_total = spec.prompt_count,
      .done_before = earlier.done.count(),
      .failed_before = earlier.failed});

  jobs::PromptReader prompts(layout_.prompts());
  const auto next_prompt = [&] {
    auto prompt = prompts.next();
    while (prompt && earlier.done.contains(prompt->index)) prompt = prompts.next();
    return prompt;
  };
  batch::Batcher batcher(
      {.batch_size = plan.batch_size, .token_budget = plan.token_budget, .stages = plan.stages()},
      model::PagePool(engine.kv_pages()));
  Leader leader(*job.model,
                {.max_positions = plan.max_positions,
                 .max_tokens = spec.max_tokens,
                 .ignore_eos = spec.ignore_eos,
                 .stop_token_ids = spec.stop_token_ids},
                engine.stage(), engine.clock(), std::move(batcher),
                {.next_prompt = next_prompt,
                 .answer = [&](const jobs::Result& result) { writer_->add(result); },
                 .generated = [&](int tokens) { writer_->count_output(tokens); },
                 .should_stop = [&] { return stop_signal_seen() || writer_->cancel_requested(); },
                 .make_durable = [&] { writer_->finish(); }});
  return leader.run();
}

jobs::ExitRecord Run::conclude(const jobs::JobSpec& spec, const LeaderReport& report) const {
  jobs::ExitRecord exit;
  exit.run = options_.run;
  exit.prompts_done = writer_->prompts_done();
  exit.prompts_failed = writer_->prompts_failed();
  const std::string count =
      std::to_string(exit.prompts_done) + " of " + std::to_string(spec.prompt_count) + " prompts";
  if (exit.prompts_done == spec.prompt_count) {
    exit.exit_code = kAllAnswered;
    exit.outcome = "completed";
    exit.message = count + " are answered";
  } else if (report.stopped) {
    exit.exit_code = kStoppedEarly;
    exit.outcome = "stopped";
    exit.message = std::string("stopped early ") +
                   (writer_->cancel_requested() ? "(cancelled)" : "(by a signal)") + ": " + count +
                   " are answered";
  } else {
    exit.exit_code = kFailed;
    exit.outcome = "failed";
    exit.message = count + " are answered, and " + layout_.prompts().string() +
                   " has no others: the file is not the one that was submitted";
  }
  return exit;
}

// Every rank writes what it measured; then rank 0 writes the run's metrics, and last of all its
// end.
int Run::farewell(const pipeline::Plan& plan, Engine& engine, const Cores& cores,
                  const LeaderReport& report, const jobs::ExitRecord& exit) {
  jobs::StageMetrics mine = measure_stage(world_.rank(), plan, engine, phases_);
  mine.cores = core_list(cores.pinned());
  const std::string json = to_json(mine);
  jobs::write_file_whole(layout_.stage(options_.run, world_.rank()), json);

  ByteWriter words;
  words.put_text(json);
  std::vector<jobs::StageMetrics> stages;
  for (const Bytes& bytes : gather(world_, words.take())) {
    stages.push_back(jobs::parse_stage_metrics(ByteReader(bytes).get_text()));
  }
  ByteWriter code;
  code.put(exit.exit_code);
  if (leads()) {
    const jobs::RunMetrics metrics = measure_run(options_.run, report, stages);
    jobs::write_file_whole(layout_.metrics(options_.run), to_json(metrics));
    write_exit(exit);
  }
  const Bytes common = broadcast(world_, code.take());
  world_.flush();
  return ByteReader(common).get<int>();
}

void Run::write_exit(const jobs::ExitRecord& exit) {
  jobs::ExitRecord record = exit;
  record.ended_unix_s = jobs::unix_time_s();
  jobs::write_file_whole(layout_.exit(options_.run), to_json(record));
  log_->info(record.outcome + ": " + record.message);
}

}  // namespace

int run(const RunOptions& options, Link& world, const pipeline::NodePlace& node) {
  return Run(options, world, node).go();
}

void record_failure(const RunOptions& options, int exit_code, const std::string& message) noexcept {
  try {
    const jobs::Layout layout(options.job_dir);
    std::filesystem::create_directories(layout.run_dir(options.run));
    jobs::ExitRecord exit;
    exit.run = options.run;
    exit.exit_code = exit_code;
    exit.outcome = "failed";
    exit.message = message;
    exit.ended_unix_s = jobs::unix_time_s();
    jobs::publish_file_once(layout.exit(options.run), to_json(exit));
  } catch (const std::exception&) {
    return;  // the caller prints the message as well, and there is nowhere else to put it
  }
}

}  // namespace sluice::worker
