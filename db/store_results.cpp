// Results: ingested exactly once, whatever is read twice and in whatever order files are read.
#include <nlohmann/json.hpp>

#include "db/error.h"
#include "db/sqlite/rows.h"
#include "db/sqlite/store_data.h"
#include "jobs/files.h"

namespace sluice::db {
namespace {

using jobs::JobId, jobs::Result;

constexpr int kPageRows = 256;  // what each_result reads at once

struct Row {
  JobId job = 0;
  Result result;
  // As the table has them.
  std::string status, token_ids;
  std::int64_t output_tokens = 0;
  std::optional<std::string> error_code, error_message, logprobs;
  std::optional<double> logprob_sum;
  std::optional<std::int64_t> tokens_scored, is_greedy;
};

template <class Visit>
void columns(Row& row, const Visit& visit) {
  auto& r = row.result;
  visit("job", row.job);
  visit("prompt_index", r.index);
  visit("sample", r.sample);
  visit("id", r.id);
  visit("status", row.status);
  visit("text", r.text);
  visit("token_ids", row.token_ids);
  visit("finish_reason", r.finish_reason);
  visit("prompt_tokens", r.prompt_tokens);
  visit("output_tokens", row.output_tokens);
  visit("error_code", row.error_code);
  visit("error_message", row.error_message);
  visit("queue_s", r.timing.queue_s);
  visit("ttft_s", r.timing.ttft_s);
  visit("tpot_s", r.timing.tpot_s);
  visit("latency_s", r.timing.latency_s);
  visit("replica", r.replica);
  visit("attempt", r.run.attempt);
  visit("restart", r.run.restart);
  visit("logprobs", row.logprobs);
  visit("logprob_sum", row.logprob_sum);
  visit("tokens_scored", row.tokens_scored);
  visit("is_greedy", row.is_greedy);
}

Row to_row(JobId job, const Result& result) {
  Row row{.job = job,
          .result = result,
          .status = "ok",
          .token_ids = {},
          .error_code = {},
          .error_message = {},
          .logprobs = {},
          .logprob_sum = {},
          .tokens_scored = {},
          .is_greedy = {}};
  row.token_ids = nlohmann::json(result.token_ids).dump();
  row.output_tokens = static_cast<std::int64_t>(result.token_ids.size());
  if (!result.logprobs.empty()) row.logprobs = to_json(result.logprobs);
  if (result.score) {
    row.logprob_sum = result.score->logprob_sum;
    row.tokens_scored = result.score->tokens;
    row.is_greedy = result.score->is_greedy ? 1 : 0;
  }
  if (result.error) {
    row.status = "error";
    row.result.finish_reason = jobs::FinishReason::error;
    row.error_code = result.error->code;
    row.error_message = result.error->message;
  }
  return row;
}

Result to_result(Row row) {
  try {
    row.result.token_ids = nlohmann::json::parse(row.token_ids).get<std::vector<std::int32_t>>();
  } catch (const nlohmann::json::exception& error) {
    throw Error("the database holds token_ids that are no list, for prompt " + row.result.id +
                ": " + error.what());
  }
  if (row.logprobs) row.result.logprobs = jobs::parse_log_probs(*row.logprobs);
  if (row.logprob_sum && row.tokens_scored && row.is_greedy) {
    row.result.score = {.logprob_sum = *row.logprob_sum,
                        .tokens = static_cast<int>(*row.tokens_scored),
                        .is_greedy = *row.is_greedy != 0};
  }
  if (row.error_code) {
    row.result.error = {.code = *row.error_code, .message = row.error_message.value_or("")};
  }
  return std::move(row.result);
}

// The answer, without how long it took and who gave it.
auto answer_of(const Row& row) {
  return std::tie(row.status, row.result.text, row.token_ids, row.result.finish_reason,
                  row.logprob_sum, row.tokens_scored);
}

auto origin_of(const Row& row) { return std::pair(row.result.run, row.result.replica); }

// Adds the rows of one batch within a transaction and counts what became of them.
class Ingest {
 public:
  Ingest(sqlite::Connection& connection, const Job& job)
      : job_(job),
        find_(connection.prepare("SELECT " + sqlite::column_names<Row>() +
                                 " FROM results WHERE job = ? AND prompt_index = ?")),
        remove_(connection.prepare("DELETE FROM results WHERE job = ? AND prompt_index = ?")),
        replace_(connection.prepare(sqlite::insert_sql<Row>("INSERT OR REPLACE", "results"))) {}

  void add(const Result& result) {
    if (!jobs::is_answer_of(job_.uid, job_.prompts_total, result)) {
      ++foreign;
      return;
    }
    const Row row = to_row(job_.id, result);
    const auto standing = find(result);
    if (standing && answer_of(*standing) != answer_of(row)) {
      ++conflicts;
      if (first_conflict.empty()) first_conflict = describe(*standing, row);
    }
    if (standing && origin_of(*standing) <= origin_of(row)) return;  // the earlier run's stands
    if (standing) remove(*standing);
    count(row, +1);
    sqlite::bind_row(replace_, row).run();
  }

  std::int64_t ok = 0, failed = 0;  // changes of the job's counters
  std::int64_t conflicts = 0, foreign = 0;
  std::string first_conflict;

 private:
  std::optional<Row> find(const Result& result) {
    find_.rewind();
    if (!find_.bind(job_.id, result.index).step()) return std::nullopt;
    return sqlite::read_row<Row>(find_);
  }

  // By its index alone, as everybody counts, whatever sample a line says that it is.
  void remove(const Row& row) {
    remove_.rewind();
    remove_.bind(job_.id, row.result.index).run();
    count(row, -1);
  }

  void count(const Row& row, int change) { (row.status == "ok" ? ok : failed) += change; }

  static std::string describe(const Row& standing, const Row& other) {
    return "prompt " + standing.result.id + " in run " + to_string(standing.result.run) +
           " and in run " + to_string(other.result.run);
  }

  const Job& job_;
  sqlite::Statement find_, remove_, replace_;
};

// Whoever reads a file again finds the same in it.
void record_once(sqlite::Connection& connection, JobId id, const jobs::JobEvent& event) {
  auto known =
      connection.prepare("SELECT 1 FROM events WHERE job = ? AND kind = ? AND reason = ? LIMIT 1");
  if (!known.bind(id, event.kind, event.reason).step()) {
    sqlite::record_event(connection, id, event);
  }
}

void record_oddities(sqlite::Connection& connection, JobId id, const Ingest& ingest,
                     const std::string& file) {
  const double now_s = jobs::unix_time_s();
  if (ingest.conflicts > 0) {
    record_once(connection, id,
                {.kind = jobs::EventKind::result_conflict,
                 .time_s = now_s,
                 .reason = "prompts of " + file + " that were answered before, and differently: " +
                           std::to_string(ingest.conflicts) +
                           " (the earlier run's answer stands), first " + ingest.first_conflict});
  }
  if (ingest.foreign > 0) {
    record_once(connection, id,
                {.kind = jobs::EventKind::note,
                 .time_s = now_s,
                 .reason = "results in " + file + " that answer no prompt of this job: " +
                           std::to_string(ingest.foreign) + ", left out"});
  }
}

}  // namespace

std::int64_t Store::ingested_offset(JobId id, const std::string& file) const {
  return data_->connection.read("read how far results were read", [&] {
    auto statement = data_->connection.prepare(
        "SELECT \"end\" FROM ingested WHERE job = ? AND "
        "file = ?");
    std::int64_t end = 0;
    if (statement.bind(id, file).step()) statement.read(end);
    return end;
  });
}

void Store::forget_ingested(JobId id) {
  data_->connection.write("read results anew", [&] {
    data_->connection.prepare("DELETE FROM ingested WHERE job = ?").bind(id).run();
    return true;
  });
}

bool Store::has_answers(JobId id, int attempt) const {
  return data_->connection.read("look for an attempt's results", [&] {
    auto statement =
        data_->connection.prepare("SELECT 1 FROM results WHERE job = ? AND attempt = ? LIMIT 1");
    return statement.bind(id, attempt).step();
  });
}

bool Store::add_results(JobId id, const ResultBatch& batch) {
  auto& connection = data_->connection;
  return connection.write("record results", [&] {
    const auto job = sqlite::find_job(connection, id);
    if (!job || ingested_offset(id, batch.file) != batch.offset) return false;
    Ingest ingest(connection, *job);
    for (const auto& result : batch.results) {
      if (!jobs::is_set_aside(result, batch.errors_before)) ingest.add(result);
    }
    record_oddities(connection, id, ingest, batch.file);
    connection
        .prepare(
            "UPDATE jobs SET prompts_ok = prompts_ok + ?, prompts_failed = prompts_failed + ? "
            "WHERE id = ?")
        .bind(ingest.ok, ingest.failed, id)
        .run();
    connection.prepare("INSERT OR REPLACE INTO ingested (job, file, \"end\") VALUES (?, ?, ?)")
        .bind(id, batch.file, batch.end)
        .run();
    return true;
  });
}

ScoreSums Store::score_sums(JobId id) const {
  return data_->connection.read("sum scores", [&] {
    auto statement = data_->connection.prepare(
        "SELECT count(*), coalesce(sum(tokens_scored), 0), coalesce(sum(logprob_sum), 0.0), "
        "coalesce(sum(is_greedy), 0) FROM results WHERE job = ? AND tokens_scored IS NOT NULL");
    statement.bind(id).step();
    ScoreSums sums;
    statement.read(sums.texts);
    statement.read(sums.tokens);
    statement.read(sums.logprob_sum);
    statement.read(sums.greedy);
    return sums;
  });
}

void Store::remove_errors(JobId id, int before_attempt) {
  auto& connection = data_->connection;
  connection.write("set errors aside", [&] {
    connection.prepare("DELETE FROM results WHERE job = ? AND status = 'error' AND attempt < ?")
        .bind(id, before_attempt)
        .run();
    connection.prepare("UPDATE jobs SET prompts_failed = prompts_failed - changes() WHERE id = ?")
        .bind(id)
        .run();
    return true;
  });
}

void Store::each_result(JobId id, const std::function<void(const Result&)>& each) const {
  const auto job = this->job(id);
  std::int64_t index = -1;
  int sample = 0;
  for (;;) {
    auto page = data_->connection.read("read results", [&] {
      auto statement = data_->connection.prepare(
          "SELECT " + sqlite::column_names<Row>() +
          " FROM results WHERE job = ? AND (prompt_index, sample) > (?, ?) "
          "ORDER BY prompt_index, sample LIMIT ?");
      statement.bind(id, index, sample, kPageRows);
      std::vector<Result> results;
      while (statement.step()) results.push_back(to_result(sqlite::read_row<Row>(statement)));
      return results;
    });
    if (page.empty()) return;
    for (auto& result : page) {
      result.job = job->uid;
      each(result);
    }
    index = page.back().index;
    sample = page.back().sample;
  }
}

std::optional<Result> Store::result(JobId id, std::int64_t index) const {
  return data_->connection.read("read a result", [&] {
    auto statement =
        data_->connection.prepare("SELECT " + sqlite::column_names<Row>() +
                                  " FROM results WHERE job = ? AND prompt_index = ? LIMIT 1");
    std::optional<Result> found;
    if (statement.bind(id, index).step()) found = to_result(sqlite::read_row<Row>(statement));
    return found;
  });
}

}  // namespace sluice::db
