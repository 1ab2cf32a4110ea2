// Measurements of runs and stages, column for member.
#include <algorithm>

#include "db/sqlite/rows.h"
#include "db/sqlite/store_data.h"

namespace sluice::db {
namespace {

using jobs::JobId, jobs::RunId;

struct RunRow {
  JobId job = 0;
  jobs::RunMetrics metrics;
};

struct StageRow {
  JobId job = 0;
  RunId run;
  jobs::StageMetrics metrics;
};

template <class Visit>
void columns(RunRow& row, const Visit& visit) {
  auto& m = row.metrics;
  visit("job", row.job);
  visit("attempt", m.run.attempt);
  visit("restart", m.run.restart);
  visit("wall_clock_s", m.wall_clock_s);
  visit("elapsed_s", m.elapsed_s);
  visit("io_s", m.io_s);
  visit("preprocess_s", m.preprocess_s);
  visit("prompts_ok", m.prompts_ok);
  visit("prompts_failed", m.prompts_failed);
  visit("prompt_tokens", m.prompt_tokens);
  visit("output_tokens", m.output_tokens);
  visit("wasted_tokens", m.wasted_tokens);
  visit("shared_prompt_tokens", m.shared_prompt_tokens);
  visit("output_tokens_per_s", m.output_tokens_per_s);
  visit("total_tokens_per_s", m.total_tokens_per_s);
  visit("micro_batches", m.micro_batches);
  visit("micro_batch_occupancy", m.micro_batch_occupancy);
  visit("queue_p50_s", m.queue_s.p50);
  visit("queue_p90_s", m.queue_s.p90);
  visit("queue_p99_s", m.queue_s.p99);
  visit("ttft_p50_s", m.ttft_s.p50);
  visit("ttft_p90_s", m.ttft_s.p90);
  visit("ttft_p99_s", m.ttft_s.p99);
  visit("tpot_p50_s", m.tpot_s.p50);
  visit("tpot_p90_s", m.tpot_s.p90);
  visit("tpot_p99_s", m.tpot_s.p99);
  visit("latency_p50_s", m.latency_s.p50);
  visit("latency_p90_s", m.latency_s.p90);
  visit("latency_p99_s", m.latency_s.p99);
}

template <class Visit>
void columns(StageRow& row, const Visit& visit) {
  auto& m = row.metrics;
  visit("job", row.job);
  visit("attempt", row.run.attempt);
  visit("restart", row.run.restart);
  visit("rank", m.rank);
  visit("replica", m.replica);
  visit("stage", m.stage);
  visit("host", m.host);
  visit("cpu", m.cpu);
  visit("cores", m.cores);
  visit("first_layer", m.first_layer);
  visit("last_layer", m.last_layer);
  visit("has_embedding", m.has_embedding);
  visit("has_head", m.has_head);
  visit("elapsed_s", m.elapsed_s);
  visit("launch_s", m.launch_s);
  visit("load_s", m.load_s);
  visit("preprocess_s", m.preprocess_s);
  visit("wall_clock_s", m.wall_clock_s);
  visit("teardown_s", m.teardown_s);
  visit("elapsed_unattributed_s", m.elapsed_unattributed_s);
  visit("prefill_s", m.prefill_s);
  visit("decode_s", m.decode_s);
  visit("sampling_s", m.sampling_s);
  visit("communication_s", m.communication_s);
  visit("bubble_s", m.bubble_s);
  visit("output_s", m.output_s);
  visit("unattributed_s", m.unattributed_s);
  visit("device_compute_s", m.device_compute_s);
  visit("device_copy_s", m.device_copy_s);
  visit("device_wait_s", m.device_wait_s);
  visit("clock_error_s", m.clock_error_s);
  visit("micro_batches", m.micro_batches);
  visit("prefill_tokens", m.prefill_tokens);
  visit("decode_tokens", m.decode_tokens);
  visit("decode_micro_batches", m.decode_micro_batches);
  visit("micro_batch_occupancy", m.micro_batch_occupancy);
  visit("weight_bytes", m.weight_bytes);
  visit("kv_bytes", m.kv_bytes);
  visit("bytes_sent", m.bytes_sent);
  visit("messages_sent", m.messages_sent);
}

template <class Row>
void put(sqlite::Connection& connection, const std::string& table, const Row& row) {
  connection.transact("record metrics", [&] {
    auto replace = connection.prepare(sqlite::insert_sql<Row>("INSERT OR REPLACE", table));
    sqlite::bind_row(replace, row).run();
  });
}

struct RunKey {
  JobId job = 0;
  RunId run;
};

template <class Row>
std::vector<Row> rows_of_run(const sqlite::Connection& connection, const std::string& table,
                             const RunKey& key) {
  return connection.read("read metrics", [&] {
    auto statement =
        connection.prepare("SELECT " + sqlite::column_names<Row>() + " FROM " + table +
                           " WHERE job = ? AND attempt = ? AND restart = ? ORDER BY rowid");
    statement.bind(key.job, key.run.attempt, key.run.restart);
    std::vector<Row> found;
    while (statement.step()) found.push_back(sqlite::read_row<Row>(statement));
    return found;
  });
}

}  // namespace

void Store::put_run_metrics(JobId id, const jobs::RunMetrics& metrics) {
  put(data_->connection, "metrics", RunRow{.job = id, .metrics = metrics});
}

void Store::put_stage_metrics(JobId id, RunId run, const jobs::StageMetrics& metrics) {
  put(data_->connection, "stage_metrics", StageRow{.job = id, .run = run, .metrics = metrics});
}

std::optional<jobs::RunMetrics> Store::run_metrics(JobId id, RunId run) const {
  auto found = rows_of_run<RunRow>(data_->connection, "metrics", {.job = id, .run = run});
  if (found.empty()) return std::nullopt;
  return found.front().metrics;
}

std::vector<jobs::StageMetrics> Store::stage_metrics(JobId id, RunId run) const {
  std::vector<jobs::StageMetrics> stages;
  for (auto& row :
       rows_of_run<StageRow>(data_->connection, "stage_metrics", {.job = id, .run = run})) {
    stages.push_back(std::move(row.metrics));
  }
  std::ranges::sort(stages, {}, &jobs::StageMetrics::rank);
  return stages;
}

}  // namespace sluice::db
