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
#include "worker/engine.h"
#include "worker/error.h"
#include "worker/leader.h"
#include "worker/log.h"
#include "worker/machine.h"
#include "worker/make_plan.h"
#include "worker/model/fingerprint.h"
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
  std::string fingerprint, problem;

  explicit Job(const jobs::Layout& layout) {
    try {
      spec = jobs::load_spec(layout.spec());
      model = model::Model::open(spec.model);
      fingerprint = model::fingerprint(*model);
      refuse_another_model();
    } catch (const std::exception& error) {
      problem = error.what();
    }
  }

  pipeline::Offer offer(const std::string& host) const {
    pipeline::Offer offer{.host = host, .problem = problem};
    if (model) {
      offer.model_bytes = model->weights().bytes();
      offer.fingerprint = fingerprint;
    }
    return offer;
  }

  // The answers of one job come from one model, whatever the path has come to hold since.
  void refuse_another_model() const {
    if (spec.model_fingerprint.empty() || fingerprint == spec.model_fingerprint) return;
    throw Error(spec.model + " is not the model that this job was submitted with (" +
                std::to_string(spec.model_bytes) + " bytes, fingerprint " + spec.model_fingerprint +
                "), but has " + std::to_string(model->weights().bytes()) + " bytes, fingerprint " +
                fingerprint + "; put that one back and retry, or submit a new job");
  }
};

// What only the leader knows at the end.
struct Led {
  LeaderReport report;
  jobs::ExitRecord exit;
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
  bool is_rank_0() const { return world_.rank() == 0; }
  pipeline::Plan decide(const Job& job) const;
  int refuse(const std::string& problem, int exit_code);
  void announce(const pipeline::Plan& plan);
  EngineSetup setup(const jobs::JobSpec& spec) const;
  Led lead(const Job& job, const pipeline::Plan& plan, const Cores& cores, Engine& engine);
  jobs::ExitRecord conclude(const jobs::JobSpec& spec, const LeaderReport& report) const;
  int farewell(const pipeline::Plan& plan, Engine& engine, const Cores& cores,
               const std::optional<Led>& led);
  void keep_measurement(const std::filesystem::path& path, const std::string& json);
  void write_exit(const jobs::ExitRecord& exit);

  const RunOptions& options_;
  Link& world_;
  const pipeline::NodePlace& node_;
  const jobs::Layout layout_;
  PhaseClock phases_;
  std::optional<Log> log_;              // rank 0
  std::optional<ResultWriter> writer_;  // rank 0: answers, progress, requests to cancel
};

// Where ranks wait for each other is marked: all of them come there, or none.
int Run::go() {
  phases_.begin(Phase::preprocess);
  open_control(world_);
  const Job job(layout_);
  const pipeline::Agreement agreed =  // collective
      agree(world_, job.offer(node_.host), [&] { return decide(job); });
  if (!agreed.problem.empty()) return refuse(agreed.problem, kBadInput);
  const pipeline::Plan& plan = agreed.plan;
  if (is_rank_0()) announce(plan);

  phases_.begin(Phase::load);
  const Cores cores(node_.local_rank, node_.local_size, job.spec.threads);
  const Engine::Loaded loaded =  // collective
      Engine::load(world_, *job.model, plan, setup(job.spec));
  if (!loaded.problem.empty()) return refuse(loaded.problem, kFailed);
  Engine& engine = *loaded.engine;

  phases_.begin(Phase::preprocess);
  std::optional<Led> led;
  if (is_rank_0()) {
    led = lead(job, plan, cores, engine);
  } else {
    engine.stage().serve();
  }
  return farewell(plan, engine, cores, led);  // collective
}

pipeline::Plan Run::decide(const Job& job) const {
  const auto mix = sample_mix(layout_.prompts(), job.model->tokenizer(), job.spec.max_tokens);
  return make_plan(job.spec, *job.model, mix, world_.size());
}

// The same on all ranks: rank 0 says it once.
int Run::refuse(const std::string& problem, int exit_code) {
  if (is_rank_0()) {
    record_failure(options_, exit_code, problem);
    if (!log_) log_.emplace(layout_.worker_log(options_.run));
    log_->warn("refused: " + problem);
  }
  return exit_code;
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

EngineSetup Run::setup(const jobs::JobSpec& spec) const {
  const auto precision = *kernels::precision_named(spec.precision);  // make_plan has seen to it
  return {.make_backend =
              [precision, threads = spec.threads] {
                return kernels::make_cpu_backend(precision, {.threads = threads});
              },
          .prompts = spec.prompt_count,
          .max_tokens = spec.max_tokens,
          .memory_bytes = available_memory_bytes() / static_cast<std::uint64_t>(node_.local_size)};
}

Led Run::lead(const Job& job, const pipeline::Plan& plan, const Cores& cores, Engine& engine) {
  const jobs::JobSpec& spec = job.spec;
  const jobs::DoneSet earlier = jobs::read_done(layout_.results_dir(), spec.uid, spec.prompt_count);
  if (earlier.useless_lines() > 0) {
    log_->warn(std::to_string(earlier.useless_lines()) +
               " result line(s) of earlier runs are damaged or another job's: their prompts are "
               "answered again");
  }
  log_->info(std::to_string(earlier.count()) + " of " + std::to_string(spec.prompt_count) +
             " prompts are done; KV room for " + to_string(engine.kv_room()));
  writer_.emplace(WriterSetup{
      .layout = layout_,
      .job_uid = spec.uid,
      .run = options_.run,
      .replica = 0,
      .sync = spec.fsync == "none" ? jobs::ResultLog::Sync::none : jobs::ResultLog::Sync::group,
      .prompts_total = spec.prompt_count,
      .done_before = earlier.count(),
      .failed_before = earlier.failed(),
      .warn = [this](const std::string& line) { log_->warn(line); }});

  jobs::PromptReader prompts(layout_.prompts());
  const auto next_prompt = [&]() -> std::optional<jobs::Prompt> {
    while (auto prompt = prompts.next()) {
      if (prompt->index >= spec.prompt_count) {
        throw Error(layout_.prompts().string() + " has more than the " +
                    std::to_string(spec.prompt_count) +
                    " prompts that were submitted: the file has been changed since");
      }
      if (!earlier.contains(prompt->index)) return prompt;
    }
    return std::nullopt;
  };
  Leader leader(*job.model, plan,
                {.max_positions = plan.max_positions,
                 .max_tokens = spec.max_tokens,
                 .ignore_eos = spec.ignore_eos,
                 .stop_token_ids = spec.stop_token_ids},
                engine,
                {.prompts = {.next = next_prompt, .begin = [&] { cores.unpin_thread(); }},
                 .answer = [&](const jobs::Result& result) { writer_->add(result); },
                 .generated = [&](int tokens) { writer_->count_output(tokens); },
                 .should_stop = [&] { return stop_signal_seen() || writer_->cancel_requested(); },
                 .make_durable = [&] { writer_->finish(); }});
  Led led{.report = leader.run(), .exit = {}};
  led.exit = conclude(spec, led.report);
  return led;
}

jobs::ExitRecord Run::conclude(const jobs::JobSpec& spec, const LeaderReport& report) const {
  jobs::ExitRecord exit;
  exit.run = options_.run;
  exit.prompts_done = writer_->prompts_done();
  exit.prompts_failed = writer_->prompts_failed();
  const std::string failed =
      exit.prompts_failed == 0 ? "" : ", " + std::to_string(exit.prompts_failed) + " failed";
  const std::string count = std::to_string(exit.prompts_done - exit.prompts_failed) + " of " +
                            std::to_string(spec.prompt_count) + " prompts are answered" + failed;
  if (exit.prompts_done == spec.prompt_count) {
    exit.exit_code = kAllAnswered;
    exit.outcome = "completed";
    exit.message = count;
  } else if (report.stopped) {
    exit.exit_code = kStoppedEarly;
    exit.outcome = "stopped";
    exit.message = std::string("stopped early ") +
                   (writer_->cancel_requested() ? "(cancelled)" : "(by a signal)") + ": " + count;
  } else {
    exit.exit_code = kFailed;
    exit.outcome = "failed";
    exit.message = count + ", and " + layout_.prompts().string() +
                   " has no others: the file is not the one that was submitted";
  }
  return exit;
}

// Every rank writes what it measured; then rank 0 writes the run's metrics, and last of all its
// end. Collective.
int Run::farewell(const pipeline::Plan& plan, Engine& engine, const Cores& cores,
                  const std::optional<Led>& led) {
  engine.realign_clocks();                                 // collective
  const double offset_s = engine.clock_offset().offset_s;  // the window is told in world time
  phases_.begin(Phase::window, engine.clock().opened_s() - offset_s);
  phases_.begin(Phase::teardown, engine.clock().closed_s() - offset_s);
  phases_.begin(Phase::teardown);

  jobs::StageMetrics mine = measure_stage(world_.rank(), plan, engine, phases_);
  mine.cores = core_list(cores.pinned());
  const std::string json = to_json(mine);
  keep_measurement(layout_.stage(options_.run, world_.rank()), json);

  ByteWriter words;
  words.put_text(json);
  std::vector<jobs::StageMetrics> stages;
  for (const Bytes& bytes : gather(world_, words.take())) {  // collective
    stages.push_back(jobs::parse_stage_metrics(ByteReader(bytes).get_text()));
  }
  ByteWriter code;
  if (led) {
    const jobs::RunMetrics metrics = measure_run(options_.run, led->report, stages);
    keep_measurement(layout_.metrics(options_.run), to_json(metrics));
    write_exit(led->exit);
    code.put(led->exit.exit_code);
  }
  const Bytes common = broadcast(world_, code.take());  // collective
  return ByteReader(common).get<int>();
}

// The answers are there: a run does not fail for want of its measurements.
void Run::keep_measurement(const std::filesystem::path& path, const std::string& json) {
  try {
    jobs::write_file_whole(path, json);
  } catch (const std::exception& error) {
    log_->warn(std::string("a measurement is lost: ") + error.what());
  }
}

void Run::write_exit(const jobs::ExitRecord& exit) {
  jobs::ExitRecord record = exit;
  record.ended_unix_s = jobs::unix_time_s();
  jobs::write_file_whole(layout_.exit(options_.run), to_json(record));
  log_->info(record.outcome + ": " + record.message);
}

// Prompts that all runs have answered, where that can still be read.
void count_durable(const jobs::Layout& layout, jobs::ExitRecord& exit) {
  try {
    const jobs::JobSpec spec = jobs::load_spec(layout.spec());
    const jobs::DoneSet all = jobs::read_done(layout.results_dir(), spec.uid, spec.prompt_count);
    exit.prompts_done = all.count();
    exit.prompts_failed = all.failed();
  } catch (const std::exception&) {
    return;  // the failure itself matters more
  }
}

}  // namespace

int run(const RunOptions& options, Link& world, const pipeline::NodePlace& node) {
  return Run(options, world, node).go();
}

void record_failure(const RunOptions& options, int exit_code, const std::string& message) noexcept {
  try {
    const jobs::Layout layout(options.job_dir);
    if (std::filesystem::exists(layout.exit(options.run))) return;
    std::filesystem::create_directories(layout.run_dir(options.run));
    jobs::ExitRecord exit;
    exit.run = options.run;
    exit.exit_code = exit_code;
    exit.outcome = "failed";
    exit.message = message;
    count_durable(layout, exit);
    exit.ended_unix_s = jobs::unix_time_s();
    jobs::publish_file_once(layout.exit(options.run), to_json(exit));
  } catch (const std::exception&) {
    return;  // the caller prints the message as well, and there is nowhere else to put it
  }
}

}  // namespace sluice::worker
