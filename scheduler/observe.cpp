// What is: the database's rows, the cluster's word (one question for all jobs), the job
// directories. The order matters: the cluster is asked before the directories are read, and exit
// records are read before answers, so that an end is never seen without what came before it.
#include <algorithm>
#include <filesystem>
#include <map>

#include "db/error.h"
#include "jobs/files.h"
#include "scheduler/cancel_request.h"
#include "scheduler/ingest.h"
#include "scheduler/local_record.h"
#include "scheduler/process.h"
#include "scheduler/tick.h"

namespace sluice::scheduler {
namespace {

namespace fs = std::filesystem;

std::vector<db::Job> jobs_to_look_at(const db::Store& store, const std::vector<jobs::JobId>& only) {
  auto active = store.active_jobs();
  if (!only.empty()) {
    std::erase_if(active,
                  [&](const db::Job& job) { return std::ranges::count(only, job.id) == 0; });
  }
  return active;
}

JobSeen::Owner owner_of(const db::Attempt& attempt) {
  if (attempt.owner_host != host_name()) return JobSeen::Owner::elsewhere;
  return lives({.pid = attempt.owner_pid, .start_ticks = attempt.owner_start_ticks})
             ? JobSeen::Owner::here
             : JobSeen::Owner::gone;
}

bool may_be_over(const Sighting& sighting) {
  using slurm::Phase;
  if (sighting.kind != Sighting::Kind::seen) return sighting.kind == Sighting::Kind::absent;
  return sighting.status.phase != Phase::pending && sighting.status.phase != Phase::running;
}

double modified_unix_s(const fs::path& path) {
  std::error_code none;
  const auto time = fs::last_write_time(path, none);
  if (none) return 0;
  return std::chrono::duration<double>(fs::file_time_type::clock::to_sys(time).time_since_epoch())
      .count();
}

std::optional<double> last_sign_of(const jobs::Layout& layout, const std::vector<RunSeen>& runs) {
  if (runs.empty()) return std::nullopt;
  double newest_unix_s = 0;
  for (const auto& entry : fs::directory_iterator(layout.run_dir(runs.back().run))) {
    newest_unix_s = std::max(newest_unix_s, modified_unix_s(entry.path()));
  }
  for (const auto& file : jobs::result_files(layout.results_dir())) {
    if (file.run == runs.back().run) {
      newest_unix_s = std::max(newest_unix_s, modified_unix_s(file.path));
    }
  }
  return newest_unix_s;
}

std::string log_of(const db::Job& job, const jobs::Layout& layout, const db::Attempt& attempt) {
  if (attempt.cluster_id.empty()) return {};
  const auto log = local_log(layout, job.attempt, attempt.cluster_id);
  // Of a script that never began, only the supervisor can tell.
  if (job.executor != "local" || fs::exists(log)) return log;
  return log.parent_path() / "supervisor.log";
}

// What is wrong with a job's files, for whoever ticks now and, once, for its log.
Unreadable complaints(const Site& site, const JobSeen& seen, const std::vector<db::Event>& events,
                      Report& report) {
  return [&](const std::string& why) {
    report.warnings.push_back({.job = seen.job.id, .text = why});
    const bool noted = std::ranges::any_of(events, [&](const db::Event& event) {
      return event.kind == jobs::EventKind::note && event.reason == why;
    });
    if (noted) return;
    site.store.append_event(seen.job.id, seen.job.state,
                            {.kind = jobs::EventKind::note,
                             .time_s = jobs::unix_time_s(),
                             .attempt = seen.job.attempt,
                             .reason = why});
  };
}

// Whether the newest run counted more answers than the database has.
bool counted_more(const std::vector<RunSeen>& runs, const db::Job& job) {
  return !runs.empty() && runs.back().exit &&
         runs.back().exit->prompts_done > job.prompts_ok + job.prompts_failed;
}

// Everything but the sighting. False: another process moved the job on to its next attempt.
bool look_into(const Site& site, JobSeen& seen, Report& report) {
  const jobs::Layout layout(seen.job.directory);
  const auto& attempt = *seen.attempt;
  seen.claim = read_claim(layout, attempt.attempt, attempt.token);
  seen.owner = owner_of(attempt);
  seen.cancel_asked_unix_s = cancel_asked_unix_s(layout);
  seen.log = log_of(seen.job, layout, attempt);
  const auto events = site.store.events(seen.job.id);
  const auto unreadable = complaints(site, seen, events, report);
  seen.runs_used = runs_since_asked(events, layout);
  seen.runs = read_runs(layout, attempt.attempt, unreadable);
  seen.last_sign_unix_s = last_sign_of(layout, seen.runs);
  const auto recorded = site.store.runs(seen.job.id);
  for (RunSeen& run : seen.runs) {
    const auto row = std::ranges::find(recorded, run.run, &db::Run::run);
    run.start_recorded = row != recorded.end() && row->started_unix_s != 0;
    run.end_recorded = row != recorded.end() && row->ended_unix_s != 0;
    if (run.exit && !run.end_recorded) {
      ingest_metrics(site.store, seen.job.id, layout, run.run, unreadable);
    }
  }
  ingest_results(site.store, seen.job.id, layout);
  seen.answered =
      may_be_over(seen.sighting) && site.store.has_answers(seen.job.id, attempt.attempt);
  // The row as it was read first carries the state that everything above was seen against; only the
  // counts are new.
  auto fresh = site.store.job(seen.job.id);
  if (fresh && counted_more(seen.runs, *fresh)) {
    ingest_results_anew(site.store, seen.job.id, layout);
    fresh = site.store.job(seen.job.id);
  }
  if (!fresh || fresh->attempt != attempt.attempt) return false;
  seen.job.prompts_ok = fresh->prompts_ok;
  seen.job.prompts_failed = fresh->prompts_failed;
  seen.job.cancel_requested = fresh->cancel_requested;
  return true;
}

// The attempt that the job's row speaks of, which need not be the newest any more.
std::optional<db::Attempt> attempt_of(const db::Store& store, const db::Job& job) {
  for (auto& attempt : store.attempts(job.id)) {
    if (attempt.attempt == job.attempt) return std::move(attempt);
  }
  return std::nullopt;
}

void ask_executors(const Site& site, std::vector<JobSeen>& snapshot, Report& report) {
  std::map<std::string, std::vector<JobSeen*>> by_executor;
  for (JobSeen& seen : snapshot) {
    if (seen.attempt) by_executor[seen.job.executor].push_back(&seen);
  }
  for (auto& [name, group] : by_executor) {
    std::vector<Watch> watches;
    for (const JobSeen* seen : group) {
      watches.push_back({.attempt = *seen->attempt, .layout = jobs::Layout(seen->job.directory)});
    }
    const auto sightings = site.executor(name).observe(watches);
    for (std::size_t i = 0; i < group.size(); ++i) {
      group[i]->sighting = sightings[i];
      if (sightings[i].kind == Sighting::Kind::unknown) {
        report.warnings.push_back(
            {.job = group[i]->job.id, .text = sightings[i].why, .unreachable = true});
      }
    }
  }
}

}  // namespace

std::vector<JobSeen> observe(const Site& site, const std::vector<jobs::JobId>& only,
                             Report& report) {
  std::vector<JobSeen> snapshot;
  for (auto& job : jobs_to_look_at(site.store, only)) {
    JobSeen seen;
    seen.job = std::move(job);
    if (seen.job.state != jobs::JobState::queued) {
      seen.attempt = attempt_of(site.store, seen.job);
    }
    snapshot.push_back(std::move(seen));
  }
  ask_executors(site, snapshot, report);
  // A job whose folder cannot be read now is not judged, as if the cluster could not be asked. But
  // where its end is wanted, the cluster's word is enough: what it answered stays in its folder.
  const auto leave_unjudged = [&](JobSeen& seen, const std::string& why) {
    report.warnings.push_back({.job = seen.job.id, .text = why});
    seen.runs.clear();
    if (!seen.job.cancel_requested) seen.sighting = {};
  };
  std::erase_if(snapshot, [&](JobSeen& seen) {
    if (!seen.attempt) return false;
    try {
      return !look_into(site, seen, report);
    } catch (const db::Error&) {
      throw;
    } catch (const std::exception& error) {
      leave_unjudged(seen, error.what());
      return false;
    }
  });
  return snapshot;
}

}  // namespace sluice::scheduler
