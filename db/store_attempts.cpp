// Attempts and runs: who submits, what the cluster called it, what each start of the script did.
#include <tuple>

#include "db/sqlite/rows.h"
#include "db/sqlite/store_data.h"

namespace sluice::db {

template <class Visit>
void columns(Attempt& attempt, const Visit& visit) {
  visit("job", attempt.job);
  visit("attempt", attempt.attempt);
  visit("token", attempt.token);
  visit("cluster_name", attempt.cluster_name);
  visit("cluster_id", attempt.cluster_id);
  visit("owner_host", attempt.owner_host);
  visit("owner_pid", attempt.owner_pid);
  visit("owner_start_ticks", attempt.owner_start_ticks);
  visit("intended_unix_s", attempt.intended_unix_s);
  visit("submitted_unix_s", attempt.submitted_unix_s);
  visit("ended_unix_s", attempt.ended_unix_s);
  visit("last_try_unix_s", attempt.last_try_unix_s);
  visit("tries", attempt.tries);
  visit("cluster_state", attempt.cluster_state);
  visit("cluster_reason", attempt.cluster_reason);
  visit("nodes", attempt.nodes);
}

template <class Visit>
void columns(Run& run, const Visit& visit) {
  visit("job", run.job);
  visit("attempt", run.run.attempt);
  visit("restart", run.run.restart);
  visit("cluster_id", run.cluster_id);
  visit("partition_text", run.partition_text);
  visit("started_unix_s", run.started_unix_s);
  visit("ended_unix_s", run.ended_unix_s);
  visit("exit_code", run.exit_code);
  visit("outcome", run.outcome);
  visit("message", run.message);
}

namespace {

// Rows of a job, in their own order.
template <class Row>
std::vector<Row> rows_of_job(const sqlite::Connection& connection, jobs::JobId id,
                             const std::string& table, const std::string& order) {
  auto statement = connection.prepare("SELECT " + sqlite::column_names<Row>() + " FROM " + table +
                                      " WHERE job = ? ORDER BY " + order);
  statement.bind(id);
  std::vector<Row> found;
  while (statement.step()) found.push_back(sqlite::read_row<Row>(statement));
  return found;
}

// What is known of a run, with what a look at its files adds. A file that was not there yet then
// leaves nothing, which is no news.
Run merge(Run known, const Run& seen) {
  known.job = seen.job;
  known.run = seen.run;
  if (!seen.cluster_id.empty()) known.cluster_id = seen.cluster_id;
  if (!seen.partition_text.empty()) known.partition_text = seen.partition_text;
  if (seen.started_unix_s > 0) known.started_unix_s = seen.started_unix_s;
  if (seen.ended_unix_s > 0) known.ended_unix_s = seen.ended_unix_s;
  if (seen.exit_code) known.exit_code = seen.exit_code;
  if (!seen.outcome.empty()) known.outcome = seen.outcome;
  if (!seen.message.empty()) known.message = seen.message;
  return known;
}

bool same(const Run& a, const Run& b) {
  const auto values = [](const Run& run) {
    return std::tie(run.job, run.run, run.cluster_id, run.partition_text, run.started_unix_s,
                    run.ended_unix_s, run.exit_code, run.outcome, run.message);
  };
  return values(a) == values(b);
}

}  // namespace

std::vector<Attempt> Store::attempts(jobs::JobId id) const {
  return data_->connection.read("read a job's attempts", [&] {
    return rows_of_job<Attempt>(data_->connection, id, "attempts", "attempt");
  });
}

std::optional<Attempt> Store::newest_attempt(jobs::JobId id) const {
  auto all = attempts(id);
  if (all.empty()) return std::nullopt;
  return std::move(all.back());
}

std::vector<Run> Store::runs(jobs::JobId id) const {
  return data_->connection.read("read a job's runs", [&] {
    return rows_of_job<Run>(data_->connection, id, "runs", "attempt, restart");
  });
}

bool Store::begin_attempt(const Attempt& attempt) {
  auto& connection = data_->connection;
  return connection.write("begin an attempt", [&] {
    const auto job = sqlite::find_job(connection, attempt.job);
    if (!job || attempt.attempt != job->attempt + 1) return false;
    const jobs::JobEvent intent{.kind = jobs::EventKind::submit_intended,
                                .time_s = attempt.intended_unix_s,
                                .attempt = attempt.attempt};
    if (!sqlite::move_job(connection, attempt.job, jobs::JobState::queued, intent)) return false;
    auto insert = connection.prepare(sqlite::insert_sql<Attempt>("INSERT", "attempts"));
    sqlite::bind_row(insert, attempt).run();
    connection.prepare("UPDATE jobs SET attempt = ? WHERE id = ?")
        .bind(attempt.attempt, attempt.job)
        .run();
    return true;
  });
}

bool Store::take_over(const Attempt& from, const Attempt& to) {
  auto& connection = data_->connection;
  return connection.write("take over an attempt", [&] {
    return connection
               .prepare(
                   "UPDATE attempts SET owner_host = ?, owner_pid = ?, owner_start_ticks = ? "
                   "WHERE job = ? AND attempt = ? AND token = ? AND owner_host = ? AND "
                   "owner_pid = ? AND owner_start_ticks = ? AND "
                   "(SELECT state FROM jobs WHERE id = job) = 'submitting'")
               .bind(to.owner_host, to.owner_pid, to.owner_start_ticks, from.job, from.attempt,
                     from.token, from.owner_host, from.owner_pid, from.owner_start_ticks)
               .run() == 1;
  });
}

bool Store::finish_submission(const Attempt& attempt, const std::string& cluster_id,
                              double now_unix_s) {
  auto& connection = data_->connection;
  return connection.write("record a submission", [&] {
    const auto job = sqlite::find_job(connection, attempt.job);
    if (!job || job->attempt != attempt.attempt) return false;
    const jobs::JobEvent submitted{
        .kind = jobs::EventKind::submitted, .time_s = now_unix_s, .attempt = attempt.attempt};
    if (!sqlite::move_job(connection, attempt.job, jobs::JobState::submitting, submitted)) {
      return false;
    }
    connection
        .prepare(
            "UPDATE attempts SET cluster_id = ?, submitted_unix_s = ? "
            "WHERE job = ? AND attempt = ?")
        .bind(cluster_id, now_unix_s, attempt.job, attempt.attempt)
        .run();
    return true;
  });
}

void Store::note_try(const Attempt& attempt, double now_unix_s) {
  data_->connection.transact("record a try", [&] {
    data_->connection
        .prepare(
            "UPDATE attempts SET tries = tries + 1, last_try_unix_s = ? "
            "WHERE job = ? AND attempt = ?")
        .bind(now_unix_s, attempt.job, attempt.attempt)
        .run();
  });
}

void Store::note_sighting(const Attempt& attempt) {
  data_->connection.transact("record a sighting", [&] {
    data_->connection
        .prepare(
            "UPDATE attempts SET cluster_state = ?, cluster_reason = ?, nodes = ?, "
            "ended_unix_s = ? WHERE job = ? AND attempt = ?")
        .bind(attempt.cluster_state, attempt.cluster_reason, attempt.nodes, attempt.ended_unix_s,
              attempt.job, attempt.attempt)
        .run();
  });
}

bool Store::put_run(const Run& run, const RunNews& news) {
  auto& connection = data_->connection;
  return connection.write("record a run", [&] {
    auto find = connection.prepare("SELECT " + sqlite::column_names<Run>() +
                                   " FROM runs WHERE job = ? AND attempt = ? AND restart = ?");
    Run known;
    if (find.bind(run.job, run.run.attempt, run.run.restart).step()) {
      known = sqlite::read_row<Run>(find);
    }
    const Run row = merge(known, run);
    if (same(row, known)) return false;
    auto replace = connection.prepare(sqlite::insert_sql<Run>("INSERT OR REPLACE", "runs"));
    sqlite::bind_row(replace, row).run();
    // The first run's own word is surer than the tick that saw the job running.
    connection
        .prepare(
            "UPDATE jobs SET started_unix_s = coalesce((SELECT min(nullif(started_unix_s, 0)) "
            "FROM runs WHERE job = ?1), started_unix_s) WHERE id = ?1")
        .bind(run.job)
        .run();
    const auto tell = [&](const std::optional<jobs::JobEvent>& event) {
      const auto job = sqlite::find_job(connection, run.job);
      if (event && job) sqlite::move_job(connection, run.job, job->state, *event);
    };
    if (known.started_unix_s <= 0 && row.started_unix_s > 0) tell(news.started);
    if (known.ended_unix_s <= 0 && row.ended_unix_s > 0) tell(news.ended);
    return true;
  });
}

}  // namespace sluice::db
