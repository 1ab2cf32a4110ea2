#include "worker/run.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "jobs/files.h"
#include "jobs/layout.h"
#include "jobs/metrics.h"
#include "jobs/prompts.h"
#include "jobs/results.h"
#include "jobs/set_aside.h"
#include "jobs/spec.h"
#include "jobs/trace.h"
#include "worker/backend_choice.h"
#include "worker/calibrate.h"
#include "worker/cores.h"
#include "worker/device.h"
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
#include "worker/pipeline/messages.h"
#include "worker/ranged_prompts.h"
#include "worker/replica_report.h"
#include "worker/result_writer.h"
#include "worker/run_report.h"
#include "worker/stop_signal.h"
#include "worker/supply.h"
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
      if (!spec.chat_template.empty()) model->use_chat_template(layout.chat_template());
      fingerprint = model::fingerprint(*model);
      refuse_another_model();
    } catch (const std::exception& error) {
      problem = error.what();
    }
  }

  pipeline::Offer offer(const std::string& host, const GpuSearch& search) const {
    pipeline::Offer offer{.host = host, .problem = problem};
    offer.gpu.problem = search.problem;
    if (search.device) {
      const kernels::Gpu& gpu = *search.device->gpu();
      offer.gpu.name = gpu.name;
      offer.gpu.id = gpu.id;
      offer.gpu.capability = capability_text(gpu);
    }
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

jobs::DoneSet done_before(const jobs::Layout& layout, const jobs::JobSpec& spec, jobs::RunId run) {
  return jobs::read_done(layout.results_dir(), spec.uid, spec.prompt_count,
                         jobs::SetAside(layout.set_aside()).errors_before(run.attempt));
}

// What the runs so far have left to do.
struct Remainder {
  jobs::DoneSet done;
  jobs::PromptIndex lines;

  Remainder(const jobs::Layout& layout, const jobs::JobSpec& spec, jobs::RunId run)
      : done(done_before(layout, spec, run)), lines(layout.prompts()) {
    if (lines.prompts() > spec.prompt_count) {
      throw Error(layout.prompts().string() + " has more than the " +
                  std::to_string(spec.prompt_count) +
                  " prompts that were submitted: the file has been changed since");
    }
  }

  batch::RangeDealer dealer(int replicas) const {
    return batch::RangeDealer({.prompts = lines.prompts(),
                               .to_do = lines.prompts() - done.count(),
                               .replicas = replicas,
                               .is_done = [this](std::int64_t i) { return done.contains(i); },
                               .stride = jobs::PromptIndex::kStride,
                               .offset = [this](std::int64_t i) { return lines.offset(i); }});
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
  bool is_rank_0() const { return world_.rank() == 0; }
  pipeline::Plan decide(const Job& job, const GpuSearch& search,
                        std::span<const pipeline::Offer> offers);
  int refuse(const std::string& problem, int exit_code);
  void announce(const pipeline::Plan& plan);
  EngineSetup setup(const jobs::JobSpec& spec, const Device& device) const;
  ReplicaReport lead(const Job& job, const pipeline::Plan& plan, const Cores& cores,
                     Engine& engine);
  jobs::ExitRecord conclude(const jobs::JobSpec& spec, const ReplicaReport& report) const;
  int farewell(const Job& job, const pipeline::Plan& plan, Engine& engine, const Cores& cores,
               const Device& device, const std::optional<ReplicaReport>& led);
  void take_the_runs_window(pipeline::StageClock& clock);
  Log& log();
  void keep_measurement(const std::filesystem::path& path,
                        const std::function<std::string()>& measurement,
                        jobs::Sync sync = jobs::Sync::disk);
  void write_exit(const jobs::ExitRecord& exit);

  const RunOptions& options_;
  Link& world_;
  const pipeline::NodePlace& node_;
  const jobs::Layout layout_;
  PhaseClock phases_;
  std::optional<pipeline::CostScales> measured_;  // rank 0, with stages
  BackendChoice choice_;                          // rank 0
  jobs::io::Fd room_for_exit_;                    // rank 0
  std::optional<Log> log_;                        // leaders; others when they have something to say
  std::optional<ResultWriter> writer_;            // leaders: answers, progress, requests to cancel
};

// Where ranks wait for each other is marked: all of them come there, or none.
int Run::go() {
  phases_.begin(Phase::preprocess);
  open_control(world_);
  const Job job(layout_);
  const GpuSearch search = job.spec.backend == "cpu" ? GpuSearch{.problem = "not asked for"}
                                                     : find_gpu(options_.cuda_module, node_);
  const pipeline::Agreement agreed = agree(  // collective
      world_, job.offer(node_.host, search),
      [&](std::span<const pipeline::Offer> offers) { return decide(job, search, offers); });
  if (!agreed.problem.empty()) return refuse(agreed.problem, kBadInput);
  const pipeline::Plan& plan = agreed.plan;
  if (is_rank_0()) announce(plan);

  phases_.begin(Phase::load);
  const Device device = plan.backend == "cpu" ? Device() : *search.device;
  const Cores cores(node_.local_rank, node_.local_size, job.spec.threads);
  const Engine::Loaded loaded =  // collective
      Engine::load(world_, *job.model, plan, setup(job.spec, device));
  if (!loaded.problem.empty()) return refuse(loaded.problem, kFailed);
  Engine& engine = *loaded.engine;

  phases_.begin(Phase::preprocess);
  std::optional<ReplicaReport> led;
  if (plan.leads(world_.rank())) {
    led = lead(job, plan, cores, engine);
  } else {
    engine.stage().serve();
  }
  return farewell(job, plan, engine, cores, device, led);  // collective
}

// On the thread that runs this; the writer's may use it once it is there.
Log& Run::log() {
  if (!log_) log_.emplace(layout_.worker_log(options_.run, world_.rank()));
  return *log_;
}

pipeline::Plan Run::decide(const Job& job, const GpuSearch& search,
                           std::span<const pipeline::Offer> offers) {
  choice_ = choose_backend(job.spec.backend, job.spec.precision,
                           earlier_backend(layout_, options_.run), offers);
  require_kept_by(choice_, kv_type_of(job.spec));
  const Device device = choice_.backend == "cpu" ? Device() : *search.device;
  const auto mix = sample_mix(layout_.prompts(), *job.model, intake_rules(job.spec));
  auto decided =
      make_plan(job.spec, *job.model, mix, world_.size(), [&](const pipeline::Plan& plan) {
        const jobs::CostScales& known = job.spec.cost_scales;
        if (!known.cpu.empty() && known.cpu == device.description()) {
          return pipeline::CostScales{.prefill = known.prefill,
                                      .decode = known.decode,
                                      .head = known.head,
                                      .scoring_head = known.scoring_head};
        }
        measured_ = calibrate(*job.model, mix, measuring_setup(job.spec, plan, device));
        return *measured_;
      });
  decided.backend = choice_.backend;
  return decided;
}

// The same on all ranks: rank 0 says it once.
int Run::refuse(const std::string& problem, int exit_code) {
  if (is_rank_0()) {
    record_failure(options_, exit_code, problem);
    log().warn("refused: " + problem);
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
  started.backend = plan.backend;
  jobs::write_file_whole(layout_.started(options_.run), to_json(started));
  room_for_exit_ = jobs::reserve_room(layout_.run_dir(options_.run));
  log().info("run " + to_string(options_.run) + ": " + std::to_string(world_.size()) +
             " rank(s), " + std::to_string(world_.size() / plan.stages()) + " replica(s), layers " +
             started.partition_text + ", on " + plan.backend);
  if (choice_.some_have_gpus) {
    log().warn("GPUs that some ranks have are not used: " + choice_.why);
  } else if (!choice_.why.empty()) {
    log().info("no GPUs: " + choice_.why);
  }
  if (measured_) log().info(to_string(*measured_));
}

EngineSetup Run::setup(const jobs::JobSpec& spec, const Device& device) const {
  const auto precision = *kernels::precision_named(spec.precision);  // make_plan has seen to it
  return {
      .make_backend = [precision, device,
                       threads = spec.threads] { return device.make_backend(precision, threads); },
      .kv_type = kv_type_of(spec),
      .prompts = spec.prompt_count,
      .max_tokens = spec.max_tokens,
      .memory_bytes = available_memory_bytes() / static_cast<std::uint64_t>(node_.local_size)};
}

ReplicaReport Run::lead(const Job& job, const pipeline::Plan& plan, const Cores& cores,
                        Engine& engine) {
  const jobs::JobSpec& spec = job.spec;
  const int replica = plan.replica(world_.rank());
  std::optional<Remainder> left;
  if (is_rank_0()) left.emplace(layout_, spec, options_.run);
  if (left && left->done.useless_lines() > 0) {
    log().warn(std::to_string(left->done.useless_lines()) +
               " result line(s) of earlier runs are damaged or another job's: their prompts are "
               "answered again");
  }
  if (left) {
    log().info(std::to_string(left->done.count()) + " of " + std::to_string(spec.prompt_count) +
               " prompts are done");
  }
  log().info("replica " + std::to_string(replica) + ": KV room for " + to_string(engine.kv_room()));
  writer_.emplace(WriterSetup{
      .layout = layout_,
      .job_uid = spec.uid,
      .run = options_.run,
      .replica = replica,
      .sync = spec.fsync == "none" ? jobs::ResultLog::Sync::none : jobs::ResultLog::Sync::group,
      .prompts_total = spec.prompt_count,
      .done_before = left ? left->done.count() : 0,
      .failed_before = left ? left->done.failed() : 0,
      .warn = [this](const std::string& line) { log().warn(line); }});

  RangedPrompts prompts(layout_.prompts());
  Supply supply(world_, plan.stages(), prompts,
                left ? std::optional(left->dealer(world_.size() / plan.stages())) : std::nullopt);
  const auto should_stop = [&] {
    if (stop_signal_seen() || writer_->cancel_requested()) supply.stop();
    return supply.stopped();
  };
  IntakeRules rules = intake_rules(spec);
  rules.max_positions = plan.max_positions;
  Leader leader(
      *job.model, plan, rules, engine,
      {.prompts = {.next = [&] { return prompts.next(); },
                   .wait = [&](const std::stop_token& stop) { return prompts.wait(stop); },
                   .begin = [&] { cores.unpin_thread(); }},
       .answer = [&](const jobs::Result& result) { writer_->add(result); },
       .generated = [&](int tokens) { writer_->count_output(tokens); },
       .computed =
           [&](const pipeline::ComputedSeconds& by_stage) { writer_->note_computed(by_stage); },
       .should_stop = should_stop,
       .make_durable = [&] { writer_->finish(); },
       .attend = [&](bool hungry) { supply.attend(hungry); }});
  ReplicaReport report{.leader = leader.run()};
  supply.leave();
  report.prompts_done = writer_->prompts_done();
  report.prompts_failed = writer_->prompts_failed();
  report.cancelled = writer_->cancel_requested();
  return report;
}

jobs::ExitRecord Run::conclude(const jobs::JobSpec& spec, const ReplicaReport& report) const {
  jobs::ExitRecord exit;
  exit.run = options_.run;
  exit.prompts_done = report.prompts_done;
  exit.prompts_failed = report.prompts_failed;
  const std::string failed =
      exit.prompts_failed == 0 ? "" : ", " + std::to_string(exit.prompts_failed) + " failed";
  const std::string count = std::to_string(exit.prompts_done - exit.prompts_failed) + " of " +
                            std::to_string(spec.prompt_count) + " prompts are answered" + failed;
  if (exit.prompts_done == spec.prompt_count) {
    exit.exit_code = kAllAnswered;
    exit.outcome = "completed";
    exit.message = count;
  } else if (report.leader.stopped) {
    exit.exit_code = kStoppedEarly;
    exit.outcome = "stopped";
    exit.message = std::string("stopped early ") +
                   (report.cancelled ? "(cancelled)" : "(by a signal)") + ": " + count;
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
int Run::farewell(const Job& job, const pipeline::Plan& plan, Engine& engine, const Cores& cores,
                  const Device& device, const std::optional<ReplicaReport>& led) {
  engine.realign_clocks();                                 // collective
  take_the_runs_window(engine.clock());                    // collective
  const double offset_s = engine.clock_offset().offset_s;  // the window is told in world time
  phases_.begin(Phase::window, engine.clock().opened_s() - offset_s);
  phases_.begin(Phase::teardown, engine.clock().closed_s() - offset_s);
  phases_.begin(Phase::teardown);
  // Large, and worth nothing after a power loss.
  keep_measurement(
      layout_.trace(options_.run, world_.rank()),
      [&] { return to_text(trace_stage(options_.run, world_.rank(), plan, engine, phases_)); },
      jobs::Sync::none);
  phases_.begin(Phase::teardown);

  jobs::StageMetrics mine = measure_stage(world_.rank(), plan, engine, phases_);
  mine.cores = core_list(cores.pinned());
  mine.cpu = device.description();
  std::string json = to_json(mine);
  keep_measurement(layout_.stage(options_.run, world_.rank()), [&] { return json; });

  ByteWriter words;
  words.put_text(json);
  std::vector<jobs::StageMetrics> stages;
  for (const Bytes& bytes : gather(world_, words.take())) {  // collective
    stages.push_back(jobs::parse_stage_metrics(ByteReader(bytes).get_text()));
  }
  ReplicaReport all;
  for (const Bytes& bytes : gather_large(world_, led ? write(*led) : Bytes{})) {  // collective
    if (!bytes.empty()) add(all, read_replica_report(bytes));
  }
  ByteWriter code;
  if (is_rank_0()) {
    const jobs::RunMetrics metrics = measure_run(options_.run, all.leader, stages);
    keep_measurement(layout_.metrics(options_.run), [&] { return to_json(metrics); });
    const jobs::ExitRecord exit = conclude(job.spec, all);
    write_exit(exit);
    code.put(exit.exit_code);
  }
  const Bytes common = broadcast(world_, code.take());  // collective
  return ByteReader(common).get<int>();
}

// From the first replica's first prompt to the last one's last answer. Collective.
void Run::take_the_runs_window(pipeline::StageClock& clock) {
  ByteWriter mine;
  mine.put(pipeline::Window{.opened_s = clock.opened_s(), .closed_s = clock.closed_s()});
  Bytes common = mine.take();
  const std::vector<Bytes> all = gather(world_, common);  // collective
  auto window = ByteReader(common).get<pipeline::Window>();
  for (const Bytes& bytes : all) {
    const auto other = ByteReader(bytes).get<pipeline::Window>();
    window.opened_s = std::min(window.opened_s, other.opened_s);
    window.closed_s = std::max(window.closed_s, other.closed_s);
  }
  ByteWriter out;
  out.put(window);
  common = broadcast(world_, out.take());  // collective
  window = ByteReader(common).get<pipeline::Window>();
  clock.widen(window.opened_s, window.closed_s);
}

// The answers are there: a run does not fail for want of its measurements.
void Run::keep_measurement(const std::filesystem::path& path,
                           const std::function<std::string()>& measurement, jobs::Sync sync) {
  try {
    jobs::write_file_whole(path, measurement(), sync);
  } catch (const std::exception& error) {
    log().warn(std::string("a measurement is lost: ") + error.what());
  }
}

void Run::write_exit(const jobs::ExitRecord& exit) {
  jobs::ExitRecord record = exit;
  record.ended_unix_s = jobs::unix_time_s();
  room_for_exit_ = {};
  jobs::write_file_whole(layout_.exit(options_.run), to_json(record));
  log().info(record.outcome + ": " + record.message);
}

// Prompts that all runs have answered, where that can still be read.
void count_durable(const jobs::Layout& layout, jobs::ExitRecord& exit) {
  try {
    const jobs::JobSpec spec = jobs::load_spec(layout.spec());
    const jobs::DoneSet all = done_before(layout, spec, exit.run);
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
