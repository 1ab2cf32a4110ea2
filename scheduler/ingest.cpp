#include "scheduler/ingest.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/set_aside.h"

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBatchResults = 1000;  // one transaction; bounds memory and lock time

template <typename Parse>
auto read_if_there(const fs::path& path, Parse parse, const Unreadable& unreadable)
    -> std::optional<decltype(parse(std::string_view{}))> {
  if (!fs::exists(path)) return std::nullopt;
  try {
    return parse(jobs::read_file(path));
  } catch (const jobs::Error& error) {
    unreadable(path.string() + " cannot be used: " + error.what());
    return std::nullopt;
  }
}

// Reads on from `offset` to the end of the file. False: another process recorded from there first.
bool ingest_from(db::Store& store, jobs::JobId job, const fs::path& path, std::int64_t offset,
                 int errors_before) {
  db::Store::ResultBatch batch{
      .file = path.filename(), .offset = offset, .results = {}, .errors_before = errors_before};
  batch.end = batch.offset;
  bool ours = true;
  const auto add = [&] {
    if (ours) ours = store.add_results(job, batch);
    batch.offset = batch.end;
    batch.results.clear();
  };
  jobs::read_lines(path, batch.offset, [&](std::string_view line, std::int64_t end) {
    if (!ours) return;
    try {
      batch.results.push_back(jobs::parse_result(line));
    } catch (const jobs::Error&) {
      // A write that failed half-way (disk full) leaves such a line; its prompt has no answer here.
    }
    batch.end = end;
    if (batch.results.size() == kBatchResults) add();
  });
  if (batch.end != batch.offset) add();
  return ours;
}

// To the end, whoever is faster on the way: a job is never judged by a part of its answers.
void ingest_file(db::Store& store, jobs::JobId job, const fs::path& path, int errors_before) {
  std::int64_t offset = store.ingested_offset(job, path.filename());
  while (!ingest_from(store, job, path, offset, errors_before)) {
    const auto reached = store.ingested_offset(job, path.filename());
    if (reached <= offset) return;  // refused for another reason: there is no such job
    offset = reached;
  }
}

}  // namespace

std::vector<RunSeen> read_runs(const jobs::Layout& layout, int attempt,
                               const Unreadable& unreadable) {
  std::vector<RunSeen> runs;
  if (!fs::exists(layout.runs_dir())) return runs;
  for (const auto& entry : fs::directory_iterator(layout.runs_dir())) {
    const auto run = jobs::parse_run_id(entry.path().filename().string());
    if (!run || run->attempt != attempt) continue;
    runs.push_back({.run = *run,
                    .started = read_if_there(layout.started(*run), jobs::parse_started, unreadable),
                    .exit = read_if_there(layout.exit(*run), jobs::parse_exit_record, unreadable)});
  }
  std::ranges::sort(runs, {}, &RunSeen::run);
  return runs;
}

int runs_since_asked(const std::vector<db::Event>& events, const jobs::Layout& layout) {
  std::map<int, int> restarts;  // each attempt's newest
  for (const db::Event& event : events) {
    if (event.kind == jobs::EventKind::retried) restarts.clear();
    if (event.kind == jobs::EventKind::submit_intended) restarts[event.attempt] = 0;
  }
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(layout.runs_dir(), none)) {
    const auto run = jobs::parse_run_id(entry.path().filename().string());
    const auto found = run ? restarts.find(run->attempt) : restarts.end();
    if (found != restarts.end()) found->second = std::max(found->second, run->restart);
  }
  int runs = 0;
  for (const auto& [attempt, restart] : restarts) runs += restart + 1;
  return runs;
}

void ingest_results(db::Store& store, jobs::JobId job, const jobs::Layout& layout) {
  const auto known = store.job(job);
  if (!known) return;
  const int errors_before = jobs::SetAside(layout.set_aside()).errors_before(known->attempt);
  if (errors_before > 0 && known->prompts_failed > 0) store.remove_errors(job, errors_before);
  for (const auto& file : jobs::result_files(layout.results_dir())) {
    ingest_file(store, job, file.path, errors_before);
  }
}

void ingest_results_anew(db::Store& store, jobs::JobId job, const jobs::Layout& layout) {
  store.forget_ingested(job);
  ingest_results(store, job, layout);
}

void ingest_metrics(db::Store& store, jobs::JobId job, const jobs::Layout& layout, jobs::RunId run,
                    const Unreadable& unreadable) {
  if (const auto metrics =
          read_if_there(layout.metrics(run), jobs::parse_run_metrics, unreadable)) {
    store.put_run_metrics(job, *metrics);
  }
  if (!fs::exists(layout.run_dir(run))) return;
  for (const auto& entry : fs::directory_iterator(layout.run_dir(run))) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("stage-") || !name.ends_with(".json")) continue;
    if (const auto stage = read_if_there(entry.path(), jobs::parse_stage_metrics, unreadable)) {
      store.put_stage_metrics(job, run, *stage);
    }
  }
}

}  // namespace sluice::scheduler
