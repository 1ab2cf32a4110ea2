// A store in a folder of its own, a small spec, and plain SQL beside it.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <string>

#include "db/store.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::tests {

inline jobs::JobSpec small_spec(std::int64_t prompts = 4, std::string uid = jobs::new_uid()) {
  jobs::JobSpec spec;
  spec.uid = std::move(uid);
  spec.name = "demo";
  spec.model = "/models/m.gguf";
  spec.executor = "local";
  spec.prompt_count = prompts;
  spec.shape = {.nodes = 2, .ranks_per_node = 1, .replicas = 1, .stages = 2};
  return spec;
}

inline jobs::JobId add_job(db::Store& store, std::int64_t prompts = 4,
                           std::string uid = jobs::new_uid()) {
  return store.create_job(small_spec(prompts, std::move(uid)),
                          [](jobs::JobId id) { return "/jobs/" + std::to_string(id); });
}

inline db::Attempt attempt_of(jobs::JobId job, int number = 1) {
  db::Attempt attempt;
  attempt.job = job;
  attempt.attempt = number;
  attempt.token = jobs::new_token();
  attempt.cluster_name = jobs::cluster_job_name("demo", attempt.token);
  attempt.owner_host = "login1";
  attempt.owner_pid = 4711;
  attempt.owner_start_ticks = 99;
  attempt.intended_unix_s = 1000;
  return attempt;
}

inline jobs::JobEvent event_of(jobs::EventKind kind, std::string reason = {}) {
  return {.kind = kind, .time_s = 2000, .attempt = 1, .reason = std::move(reason)};
}

// The first column of the first row, by another connection.
inline std::string query(const std::filesystem::path& file, const std::string& sql) {
  const SQLite::Database database(file.string(), SQLite::OPEN_READONLY, 30'000);
  SQLite::Statement statement(database, sql);
  return statement.executeStep() ? statement.getColumn(0).getString() : "";
}

inline void execute(const std::filesystem::path& file, const std::string& sql) {
  SQLite::Database(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 30'000).exec(sql);
}

// The state that every job's events tell is the one in its row.
inline bool events_tell_every_state(const db::Store& store) {
  for (const auto& job : store.all_jobs()) {
    const auto events = store.events(job.id);
    if (jobs::replay({events.begin(), events.end()}) != job.state) return false;
  }
  return true;
}

}  // namespace sluice::tests
