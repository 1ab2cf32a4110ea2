#include "scheduler/cli/view.h"

#include <algorithm>
#include <filesystem>

#include "db/error.h"
#include "jobs/error.h"
#include "jobs/exit_status.h"
#include "jobs/files.h"
#include "jobs/layout.h"
#include "scheduler/cli/format.h"

namespace sluice::scheduler::cli {
namespace {

namespace fs = std::filesystem;
using jobs::JobState;

// Files of a running job come and go: what cannot be read now is not told now.
template <typename Read>
auto try_read(Read read) -> std::optional<decltype(read())> {
  try {
    return read();
  } catch (const jobs::Error&) {
    return std::nullopt;
  } catch (const db::Error&) {
    return std::nullopt;
  }
}

std::optional<jobs::RunId> newest_run(const jobs::Layout& layout) {
  std::optional<jobs::RunId> newest;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(layout.runs_dir(), ignored)) {
    const auto run = jobs::parse_run_id(entry.path().filename().string());
    if (run && (!newest || *run > *newest)) newest = run;
  }
  return newest;
}

void add(std::optional<jobs::Progress>& sum, const jobs::Progress& part) {
  if (!sum) {
    sum = part;
    return;
  }
  sum->prompts_done += part.prompts_done;
  sum->prompts_failed += part.prompts_failed;
  sum->output_tokens += part.output_tokens;
  sum->output_tokens_per_s += part.output_tokens_per_s;
  sum->wall_clock_s = std::max(sum->wall_clock_s, part.wall_clock_s);
  auto& busy = sum->stage_busy_percent;
  busy.insert(busy.end(), part.stage_busy_percent.begin(), part.stage_busy_percent.end());
}

void read_newest_run(JobView& view) {
  const jobs::Layout layout(view.job.directory);
  const auto run = newest_run(layout);
  if (!run) return;
  view.started =
      try_read([&] { return jobs::parse_started(jobs::read_file(layout.started(*run))); });
  for (int replica = 0; replica < view.spec.shape.replicas; ++replica) {
    const auto part = try_read(
        [&] { return jobs::parse_progress(jobs::read_file(layout.progress(*run, replica))); });
    if (part) add(view.progress, *part);
  }
}

void sum_runs(JobView& view, const db::Store& store) {
  for (const db::Run& run : view.runs) {
    const auto metrics = store.run_metrics(view.job.id, run.run);
    if (!metrics) continue;
    view.wall_clock_s += metrics->wall_clock_s;
    view.prompt_tokens += metrics->prompt_tokens;
    view.output_tokens += metrics->output_tokens;
  }
  if (view.wall_clock_s > 0) {
    view.output_tokens_per_s = static_cast<double>(view.output_tokens) / view.wall_clock_s;
  }
}

// A run that was killed wrote no end: it ended with its attempt, or before Slurm started the next.
double end_of(const db::Job& job, const db::Run& run, const db::Run* next, double attempt_end_s) {
  if (run.ended_unix_s > 0) return run.ended_unix_s;
  if (next && next->run.attempt == run.run.attempt) return next->started_unix_s;
  if (attempt_end_s > 0) return attempt_end_s;
  return job.ended_unix_s > 0 ? job.ended_unix_s : jobs::unix_time_s();
}

std::optional<double> elapsed_of(const JobView& view, const std::vector<db::Attempt>& attempts) {
  std::optional<double> sum_s;
  for (std::size_t i = 0; i < view.runs.size(); ++i) {
    const db::Run& run = view.runs[i];
    if (run.started_unix_s <= 0) continue;
    const auto attempt = std::ranges::find(attempts, run.run.attempt, &db::Attempt::attempt);
    const double attempt_end_s = attempt == attempts.end() ? 0 : attempt->ended_unix_s;
    const db::Run* next = i + 1 < view.runs.size() ? &view.runs[i + 1] : nullptr;
    const double end_s = end_of(view.job, run, next, attempt_end_s);
    sum_s = sum_s.value_or(0) + std::max(0.0, end_s - run.started_unix_s);
  }
  return sum_s;
}

// From the pace so far. Only of a first run: how much of what is done a later one found done, it
// does not say.
std::optional<double> time_left(const JobView& view) {
  constexpr jobs::RunId kFirst{.attempt = 1, .restart = 0};
  const bool first_run = view.started && view.started->run == kFirst;
  if (!first_run || !view.progress || view.progress->prompts_done <= 0) return std::nullopt;
  if (view.progress->output_tokens_per_s <= 0) return std::nullopt;  // the first look: no pace yet
  const auto done = static_cast<double>(view.progress->prompts_done);
  const auto total = static_cast<double>(view.job.prompts_total);
  return (total - done) * view.progress->wall_clock_s / done;
}

// By the cluster or by the worker, for what they were given: another run would fare no better.
bool was_refused(const JobView& view) {
  if (view.runs.empty() || view.runs.back().run.attempt != view.job.attempt) return true;
  return view.runs.back().exit_code == jobs::kBadInput;
}

std::string note_of(const JobView& view) {
  const db::Job& job = view.job;
  const std::string id = std::to_string(job.id);
  if (job.state == JobState::completed) {
    return job.prompts_failed == 0 ? ""
                                   : plural(job.prompts_failed, "prompt") +
                                         " failed: sluice export " + id + " --what prompts";
  }
  std::string note = job.reason;
  if (job.state == JobState::pending && view.attempt && !view.attempt->cluster_reason.empty() &&
      view.attempt->cluster_reason != "None") {
    note = view.attempt->cluster_reason;
  }
  if (job.state == JobState::running) {
    note = view.attempt ? view.attempt->cluster_reason : "";
    if (note == "None") note.clear();
    if (job.attempt > 1) {
      note = "attempt " + std::to_string(job.attempt) + (note.empty() ? "" : ": " + note);
    }
  }
  if (!jobs::is_final(job.state) && job.cancel_requested) note = "being cancelled";
  if (job.state == JobState::failed && was_refused(view)) {
    note += "; mend it, then sluice retry " + id;
  } else if (job.state == JobState::failed || job.state == JobState::cancelled) {
    // Before the reason, which may end in a long path.
    note = "sluice retry " + id + " does the rest" + (note.empty() ? "" : "; " + note);
  }
  return note;
}

Cell optional_time(double unix_s) { return unix_s > 0 ? number(unix_s, 0) : nothing(); }

Row job_row(const JobView& view) {
  const db::Job& job = view.job;
  const bool running = job.state == JobState::running;
  const bool has_attempt = view.attempt.has_value();
  return {
      count(job.id),
      word(job.name),
      word(std::string(to_string(job.state))),
      word(std::to_string(view.prompts_done) + "/" + std::to_string(job.prompts_total),
           with_commas(view.prompts_done) + "/" + with_commas(job.prompts_total)),
      view.output_tokens_per_s > 0
          ? number(view.output_tokens_per_s, view.output_tokens_per_s < 100 ? 1 : 0)
          : nothing(),
      count(view.spec.shape.nodes),
      view.elapsed_s ? number(*view.elapsed_s, clock_span(*view.elapsed_s)) : nothing(),
      running && view.left_s ? number(*view.left_s, clock_span(*view.left_s)) : nothing(),
      word(view.note),
      count(job.prompts_total),
      count(view.prompts_done),
      count(job.prompts_ok),
      count(job.prompts_failed),
      word(job.reason),
      flag(job.cancel_requested),
      count(job.attempt),
      word(job.executor),
      has_attempt ? word(view.attempt->cluster_id) : nothing(),
      has_attempt ? word(view.attempt->cluster_state) : nothing(),
      has_attempt ? word(view.attempt->cluster_reason) : nothing(),
      has_attempt ? word(view.attempt->nodes) : nothing(),
      word(job.model),
      word(job.directory),
      optional_time(job.created_unix_s),
      optional_time(job.started_unix_s),
      optional_time(job.ended_unix_s),
  };
}

}  // namespace

JobView view_of(const db::Store& store, const db::Job& job) {
  JobView view;
  view.job = job;
  const auto attempts = store.attempts(job.id);
  if (!attempts.empty()) view.attempt = attempts.back();
  view.runs = store.runs(job.id);
  view.elapsed_s = elapsed_of(view, attempts);
  if (const auto spec =
          try_read([&] { return jobs::load_spec(jobs::Layout(job.directory).spec()); })) {
    view.spec = *spec;
  } else if (const auto kept = try_read([&] { return store.spec(job.id).value(); })) {
    view.spec = *kept;  // the folder is gone
  }
  view.prompts_done = job.prompts_ok + job.prompts_failed;
  sum_runs(view, store);
  if (job.state == JobState::running) {
    read_newest_run(view);
    if (view.progress) {
      view.prompts_done = std::max(view.prompts_done, view.progress->prompts_done);
      view.output_tokens_per_s = view.progress->output_tokens_per_s;
    }
    view.left_s = time_left(view);
  }
  view.note = note_of(view);
  return view;
}

std::string busy_text(const JobView& view) {
  constexpr std::size_t kEach = 8;
  if (view.job.state != JobState::running || !view.progress) return {};
  const auto& busy = view.progress->stage_busy_percent;
  if (busy.empty()) return {};
  const std::string head = busy.size() == 1 ? "busy" : "stages";
  if (busy.size() > kEach) {
    const auto [least, most] = std::ranges::minmax(busy);
    return head + " " + std::to_string(least) + "-" + std::to_string(most) + " %";
  }
  std::string text = head;
  for (const int percent : busy) text += " " + std::to_string(percent) + " %";
  return text;
}

Table job_table(const std::vector<JobView>& views) {
  Table table{.columns = {{"job", "job", true},
                          {"name", "name", false, 24},
                          {"state", "state"},
                          {"prompts", "prompts", true},
                          {"output_tokens_per_s", "tok/s", true},
                          {"nodes", "nodes", true},
                          {"elapsed_s", "elapsed", true},
                          {"left_s", "left", true},
                          {"note", "note"},
                          {"prompts_total", ""},
                          {"prompts_done", ""},
                          {"prompts_ok", ""},
                          {"prompts_failed", ""},
                          {"reason", ""},
                          {"cancel_requested", ""},
                          {"attempts", ""},
                          {"executor", ""},
                          {"cluster_id", ""},
                          {"cluster_state", ""},
                          {"cluster_reason", ""},
                          {"node_list", ""},
                          {"model", ""},
                          {"directory", ""},
                          {"created_unix_s", ""},
                          {"started_unix_s", ""},
                          {"ended_unix_s", ""}},
              .rows = {}};
  for (const JobView& view : views) table.rows.push_back(job_row(view));
  return table;
}

Table stage_table(const std::vector<jobs::StageMetrics>& stages, StageSum shown) {
  const auto elapsed = [&](const char* key, const char* title) {
    return Column{key, shown == StageSum::elapsed ? title : "", true};
  };
  const auto window = [&](const char* key, const char* title) {
    return Column{key, shown == StageSum::wall_clock ? title : "", true};
  };
  const bool pinned = shown == StageSum::elapsed &&
                      std::ranges::any_of(stages, [](const auto& s) { return !s.cores.empty(); });
  const bool replicas = std::ranges::any_of(stages, [](const auto& s) { return s.replica > 0; });
  const bool devices = std::ranges::any_of(stages, jobs::measured_by_device);
  const auto of_device = [&](const char* key, const char* title) {
    return Column{key, devices && shown == StageSum::wall_clock ? title : "", true};
  };
  Table table{.columns = {{"rank", ""},
                          {"replica", replicas ? "replica" : "", true},
                          {"stage", "stage", true},
                          {"host", shown == StageSum::elapsed ? "host" : ""},
                          {"layers", ""},
                          {"cores", pinned ? "on cores" : "", true},
                          elapsed("launch_s", "launch"),
                          elapsed("load_s", "load"),
                          elapsed("preprocess_s", "preproc"),
                          window("prefill_s", "prefill"),
                          window("decode_s", "decode"),
                          window("sampling_s", "sampling"),
                          window("communication_s", "comm"),
                          window("bubble_s", "bubble"),
                          window("output_s", "output"),
                          window("unattributed_s", "other"),
                          {"wall_clock_s", "wall", true},
                          elapsed("teardown_s", "teardown"),
                          elapsed("elapsed_unattributed_s", "other"),
                          elapsed("elapsed_s", "elapsed"),
                          of_device("device_compute_s", "GPU computes"),
                          of_device("device_wait_s", "waits"),
                          of_device("device_copy_s", "copies"),
                          window("micro_batches", "micro-batches"),
                          window("micro_batch_occupancy", "occupancy")},
              .rows = {}};
  for (const auto& stage : stages) {
    std::string layers = std::to_string(stage.first_layer) + "-" + std::to_string(stage.last_layer);
    if (stage.has_head) layers += " + head";
    const auto seconds = [](double value) { return number(value, 2); };
    table.rows.push_back({count(stage.rank),
                          count(stage.replica),
                          count(stage.stage),
                          word(stage.host),
                          word(layers),
                          stage.cores.empty() ? nothing() : word(stage.cores),
                          seconds(stage.launch_s),
                          seconds(stage.load_s),
                          seconds(stage.preprocess_s),
                          seconds(stage.prefill_s),
                          seconds(stage.decode_s),
                          seconds(stage.sampling_s),
                          seconds(stage.communication_s),
                          seconds(stage.bubble_s),
                          seconds(stage.output_s),
                          seconds(stage.unattributed_s),
                          seconds(stage.wall_clock_s),
                          seconds(stage.teardown_s),
                          seconds(stage.elapsed_unattributed_s),
                          seconds(stage.elapsed_s),
                          seconds(stage.device_compute_s),
                          seconds(stage.device_wait_s),
                          seconds(stage.device_copy_s),
                          count(stage.micro_batches),
                          number(stage.micro_batch_occupancy, 2)});
  }
  return table;
}

}  // namespace sluice::scheduler::cli
