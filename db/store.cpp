#include "db/store.h"

#include "db/error.h"
#include "db/sqlite/rows.h"
#include "db/sqlite/store_data.h"
#include "jobs/error.h"
#include "jobs/files.h"

namespace sluice::db {

template <class Visit>
void columns(Job& job, const Visit& visit) {
  visit("id", job.id);
  visit("uid", job.uid);
  visit("name", job.name);
  visit("directory", job.directory);
  visit("executor", job.executor);
  visit("model", job.model);
  visit("state", job.state);
  visit("reason", job.reason);
  visit("attempt", job.attempt);
  visit("max_attempts", job.max_attempts);
  visit("cancel_requested", job.cancel_requested);
  visit("prompts_total", job.prompts_total);
  visit("prompts_ok", job.prompts_ok);
  visit("prompts_failed", job.prompts_failed);
  visit("created_unix_s", job.created_unix_s);
  visit("started_unix_s", job.started_unix_s);
  visit("ended_unix_s", job.ended_unix_s);
}

template <class Visit>
void columns(Event& event, const Visit& visit) {
  visit("job", event.job);
  visit("seq", event.seq);
  visit("kind", event.kind);
  visit("time_s", event.time_s);
  visit("attempt", event.attempt);
  visit("again", event.again);
  visit("reason", event.reason);
}

namespace {

using sqlite::Connection;

template <class Row>
std::vector<Row> rows(sqlite::Statement statement) {
  std::vector<Row> found;
  while (statement.step()) found.push_back(sqlite::read_row<Row>(statement));
  return found;
}

std::string select_jobs(const std::string& rest) {
  return "SELECT " + sqlite::column_names<Job>() + " FROM jobs " + rest;
}

void insert_event(Connection& connection, jobs::JobId id, const jobs::JobEvent& event) {
  connection
      .prepare(
          "INSERT INTO events (job, seq, kind, time_s, attempt, again, reason) "
          "SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM events WHERE job = ?1")
      .bind(id, event.kind, event.time_s, event.attempt, event.again, event.reason)
      .run();
}

// When a job ended that this event ends: the newest run's own word, else the cluster's of the
// newest attempt; the tick that found it may come hours later. One that waits in the queue ends
// now.
double end_of(Connection& connection, const Job& job, const jobs::JobEvent& event) {
  if (job.state == jobs::JobState::queued) return event.time_s;
  auto find = connection.prepare(
      "SELECT coalesce((SELECT nullif(ended_unix_s, 0) FROM runs WHERE job = ?1 AND attempt = ?2 "
      "ORDER BY restart DESC LIMIT 1), (SELECT nullif(ended_unix_s, 0) FROM attempts "
      "WHERE job = ?1 AND attempt = ?2), ?3)");
  double ended_unix_s = 0;
  find.bind(job.id, job.attempt, event.time_s).step();
  find.read(ended_unix_s);
  return ended_unix_s;
}

// Whether the log tells the end of the attempt already.
bool has_ended(Connection& connection, jobs::JobId id, int attempt) {
  if (attempt == 0) return false;
  auto find = connection.prepare("SELECT 1 FROM events WHERE job = ? AND kind = ? AND attempt = ?");
  return find.bind(id, jobs::EventKind::attempt_ended, attempt).step();
}

// What the event leaves in the job's row, the cache of the log.
void apply(Job& job, const jobs::JobEvent& event, jobs::JobState after, double ended_unix_s) {
  using jobs::EventKind, jobs::JobState;
  const bool moved = after != job.state;
  job.state = after;
  if (event.kind != EventKind::note && event.kind != EventKind::result_conflict) {
    const bool went_well = moved && after != JobState::failed && after != JobState::cancelled;
    if (!event.reason.empty() || went_well) job.reason = event.reason;
  }
  if (after == JobState::running && job.started_unix_s == 0) job.started_unix_s = event.time_s;
  if (moved) job.ended_unix_s = jobs::is_final(after) ? ended_unix_s : 0;
  if (event.kind == EventKind::cancel_requested) job.cancel_requested = true;
  if (event.kind == EventKind::retried) job.cancel_requested = false;
}

}  // namespace

namespace sqlite {

std::optional<Job> find_job(const Connection& connection, jobs::JobId id) {
  auto statement = connection.prepare(select_jobs("WHERE id = ?"));
  if (!statement.bind(id).step()) return std::nullopt;
  return read_row<Job>(statement);
}

bool move_job(Connection& connection, jobs::JobId id, jobs::JobState expected,
              const jobs::JobEvent& event) {
  auto job = find_job(connection, id);
  if (!job || job->state != expected) return false;
  // A job may have come back to the state by a later attempt, of which this event tells nothing.
  const bool begins = event.kind == jobs::EventKind::submit_intended;
  if (event.attempt != 0 && event.attempt != job->attempt && !begins) return false;
  const auto after = jobs::next(job->state, event);
  if (!after) return false;
  // An end that leaves the job in its state is not told apart by it: two ticks may both bring it.
  const bool stays = event.kind == jobs::EventKind::attempt_ended && *after == job->state;
  if (stays && has_ended(connection, id, event.attempt)) return false;
  insert_event(connection, id, event);
  apply(*job, event, *after, end_of(connection, *job, event));
  connection
      .prepare(
          "UPDATE jobs SET state = ?, reason = ?, cancel_requested = ?, started_unix_s = ?, "
          "ended_unix_s = ? WHERE id = ?")
      .bind(job->state, job->reason, job->cancel_requested, job->started_unix_s, job->ended_unix_s,
            id)
      .run();
  if (event.kind == jobs::EventKind::attempt_ended) {
    connection
        .prepare(
            "UPDATE attempts SET ended_unix_s = ? WHERE job = ? AND attempt = ? AND "
            "ended_unix_s = 0")
        .bind(event.time_s, id, event.attempt)
        .run();
  }
  return true;
}

void record_event(Connection& connection, jobs::JobId id, const jobs::JobEvent& event) {
  insert_event(connection, id, event);
}

}  // namespace sqlite

Store Store::open(const std::filesystem::path& path) {
  return Store(std::unique_ptr<Data>(new Data{.connection = Connection(path)}));
}

Store::Store(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

const std::filesystem::path& Store::path() const { return data_->connection.path(); }
std::string Store::journal_mode() const { return data_->connection.journal_mode(); }

jobs::JobId Store::create_job(const jobs::JobSpec& spec,
                              const std::function<std::filesystem::path(jobs::JobId)>& prepare,
                              std::optional<StudyRun> run) {
  auto& connection = data_->connection;
  return connection.write("create a job", [&] {
    const double now_s = jobs::unix_time_s();
    connection
        .prepare(
            "INSERT INTO jobs (uid, name, directory, executor, model, state, max_attempts, "
            "prompts_total, created_unix_s, nodes, ranks_per_node, replicas, stages, batch_size, "
            "max_tokens, \"precision\", backend, spec) "
            "VALUES (?, ?, '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')")
        .bind(spec.uid, spec.name, spec.executor, spec.model, jobs::JobState::queued,
              spec.max_attempts, spec.prompt_count, now_s, spec.shape.nodes,
              spec.shape.ranks_per_node, spec.shape.replicas, spec.shape.stages, spec.batch_size,
              spec.max_tokens, spec.precision, spec.backend)
        .run();
    auto last = connection.prepare("SELECT last_insert_rowid()");
    jobs::JobId id = 0;
    last.step();
    last.read(id);
    jobs::JobSpec numbered = spec;
    numbered.job = id;
    insert_event(connection, id, {.kind = jobs::EventKind::created, .time_s = now_s});
    if (run) {
      const int added = connection
                            .prepare(
                                "INSERT OR IGNORE INTO study_runs (study, point, \"repeat\", job) "
                                "VALUES (?, ?, ?, ?)")
                            .bind(run->study, run->point, run->repeat, id)
                            .run();
      if (added == 0) {
        const std::string name = "study-" + std::to_string(run->study);
        throw Error("another command is queueing runs of " + name +
                    " too; when it is done: sluice study continue " + name);
      }
    }
    connection.prepare("UPDATE jobs SET directory = ?, spec = ? WHERE id = ?")
        .bind(prepare(id).string(), to_json(numbered), id)
        .run();
    return id;
  });
}

std::optional<Job> Store::job(jobs::JobId id) const {
  return data_->connection.read("read a job",
                                [&] { return sqlite::find_job(data_->connection, id); });
}

bool Store::names_directory(const std::filesystem::path& directory) const {
  return data_->connection.read("look for a job's directory", [&] {
    auto statement = data_->connection.prepare(
        "SELECT 1 FROM jobs WHERE directory = ?1 "
        "UNION ALL SELECT 1 FROM studies WHERE directory = ?1 LIMIT 1");
    return statement.bind(directory.string()).step();
  });
}

std::vector<Job> Store::all_jobs() const {
  return data_->connection.read("read the jobs", [&] {
    return rows<Job>(data_->connection.prepare(select_jobs("ORDER BY id DESC")));
  });
}

std::vector<Job> Store::active_jobs() const {
  return data_->connection.read("read the active jobs", [&] {
    return rows<Job>(data_->connection.prepare(
        select_jobs("WHERE state IN ('queued', 'submitting', 'pending', 'running') ORDER BY id")));
  });
}

std::vector<Event> Store::events(jobs::JobId id) const {
  return data_->connection.read("read a job's events", [&] {
    auto statement = data_->connection.prepare("SELECT " + sqlite::column_names<Event>() +
                                               " FROM events WHERE job = ? ORDER BY seq");
    statement.bind(id);
    return rows<Event>(std::move(statement));
  });
}

std::optional<jobs::JobSpec> Store::spec(jobs::JobId id) const {
  const auto json = data_->connection.read("read a job's spec", [&] {
    std::optional<std::string> text;
    auto statement = data_->connection.prepare("SELECT spec FROM jobs WHERE id = ?");
    if (statement.bind(id).step()) statement.read(text);
    return text;
  });
  if (!json) return std::nullopt;
  try {
    return jobs::parse_spec(*json);
  } catch (const jobs::Error& error) {
    throw Error("cannot read the spec of job " + std::to_string(id) + " in the database " +
                path().string() + ": " + error.what());
  }
}

bool Store::append_event(jobs::JobId id, jobs::JobState expected, const jobs::JobEvent& event,
                         const std::function<void()>& prepare) {
  return data_->connection.write("record an event", [&] {
    const bool applies = sqlite::move_job(data_->connection, id, expected, event);
    if (applies && prepare) prepare();
    return applies;
  });
}

}  // namespace sluice::db
