// Calibrations, predictions, and what finished jobs say about them.
#include "db/sqlite/rows.h"
#include "db/sqlite/store_data.h"
#include "jobs/files.h"

namespace sluice::db {

template <class Visit>
void columns(JobPrediction& prediction, const Visit& visit) {
  visit("cpu", prediction.cpu);
  visit("model_fingerprint", prediction.model_fingerprint);
  visit("precision", prediction.precision);
  visit("threads", prediction.threads);
  visit("is_single", prediction.is_single);
  visit("simulated_s", prediction.simulated_s);
  visit("correction", prediction.correction);
  visit("wall_clock_s", prediction.wall_clock_s);
  visit("elapsed_s", prediction.elapsed_s);
  visit("output_tokens", prediction.output_tokens);
  visit("answer_share", prediction.answer_share);
  visit("is_at_most", prediction.is_at_most);
}

namespace {

struct PredictionRow {
  jobs::JobId job = 0;
  JobPrediction prediction;
};

template <class Visit>
void columns(PredictionRow& row, const Visit& visit) {
  visit("job", row.job);
  columns(row.prediction, visit);
}

std::vector<double> read_numbers(sqlite::Statement& statement) {
  std::vector<double> found;
  while (statement.step()) statement.read(found.emplace_back());
  return found;
}

}  // namespace

void Store::put_calibration(const CalibrationKey& key, const std::string& cpu,
                            const std::string& calibration) {
  data_->connection.transact("record a calibration", [&] {
    data_->connection
        .prepare(
            "INSERT OR REPLACE INTO calibrations (cpu, model_fingerprint, \"precision\", threads, "
            "batch_size, token_budget, beside, measured_unix_s, calibration) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(cpu, key.model_fingerprint, key.precision, key.threads, key.batch_size,
              key.token_budget, key.beside, jobs::unix_time_s(), calibration)
        .run();
  });
}

std::optional<std::string> Store::calibration(const CalibrationKey& key,
                                              const std::string& cpu) const {
  return data_->connection.read("read a calibration", [&] {
    auto statement = data_->connection.prepare(
        "SELECT calibration FROM calibrations WHERE model_fingerprint = ?1 AND \"precision\" = ?2 "
        "AND threads = ?3 AND batch_size = ?4 AND token_budget = ?5 AND beside = ?6 "
        "AND (?7 = '' OR cpu = ?7) ORDER BY measured_unix_s DESC LIMIT 1");
    statement.bind(key.model_fingerprint, key.precision, key.threads, key.batch_size,
                   key.token_budget, key.beside, cpu);
    std::optional<std::string> found;
    if (statement.step()) statement.read(found);
    return found;
  });
}

std::string Store::node_cpu(const jobs::JobSpec& like) const {
  return data_->connection.read("read what nodes are", [&] {
    auto statement = data_->connection.prepare(
        "SELECT cpu FROM stage_metrics JOIN jobs ON jobs.id = stage_metrics.job "
        " WHERE cpu <> '' AND executor = ? "
        "   AND coalesce(json_extract(spec, '$.cluster.partition'), '') = ? "
        " ORDER BY stage_metrics.job DESC LIMIT 1");
    statement.bind(like.executor, like.cluster.partition);
    std::string cpu;
    if (statement.step()) statement.read(cpu);
    return cpu;
  });
}

void Store::put_prediction(jobs::JobId id, const JobPrediction& prediction) {
  data_->connection.transact("record a prediction", [&] {
    auto insert = data_->connection.prepare(
        sqlite::insert_sql<PredictionRow>("INSERT OR REPLACE", "predictions"));
    sqlite::bind_row(insert, PredictionRow{.job = id, .prediction = prediction}).run();
  });
}

std::optional<JobPrediction> Store::prediction(jobs::JobId id) const {
  return data_->connection.read("read a prediction", [&]() -> std::optional<JobPrediction> {
    auto statement = data_->connection.prepare("SELECT " + sqlite::column_names<PredictionRow>() +
                                               " FROM predictions WHERE job = ?");
    if (!statement.bind(id).step()) return std::nullopt;
    return sqlite::read_row<PredictionRow>(statement).prediction;
  });
}

std::vector<double> Store::prediction_ratios(const JobPrediction& like, int most) const {
  return data_->connection.read("compare predictions", [&] {
    // Where nothing is generated, the seconds as they are.
    auto statement = data_->connection.prepare(
        "SELECT (metrics.wall_clock_s / max(metrics.output_tokens, 1)) / "
        "       (simulated_s / max(CASE metrics.output_tokens WHEN 0 THEN 0 "
        "                               ELSE predictions.output_tokens END, 1)) "
        "  FROM predictions JOIN jobs ON jobs.id = predictions.job "
        "  JOIN metrics ON metrics.job = predictions.job "
        " WHERE cpu = ? AND model_fingerprint = ? AND predictions.\"precision\" = ? "
        "   AND threads = ? AND is_single = ? AND state = 'completed' AND jobs.prompts_failed = 0 "
        "   AND simulated_s > 0 AND metrics.wall_clock_s > 0 "
        "   AND metrics.prompts_ok = jobs.prompts_total "
        " ORDER BY predictions.job DESC LIMIT ?");
    statement.bind(like.cpu, like.model_fingerprint, like.precision, like.threads,
                   static_cast<int>(like.is_single), most);
    return read_numbers(statement);
  });
}

std::vector<double> Store::overheads_s(const std::string& model_fingerprint,
                                       const std::string& executor, int most) const {
  return data_->connection.read("read what runs took", [&] {
    auto statement = data_->connection.prepare(
        "SELECT metrics.elapsed_s - metrics.wall_clock_s "
        "  FROM metrics JOIN jobs ON jobs.id = metrics.job "
        "  JOIN predictions ON predictions.job = metrics.job "
        " WHERE model_fingerprint = ? AND executor = ? AND metrics.elapsed_s > "
        "metrics.wall_clock_s "
        " ORDER BY metrics.job DESC LIMIT ?");
    statement.bind(model_fingerprint, executor, most);
    return read_numbers(statement);
  });
}

std::optional<double> Store::answer_share(const jobs::JobSpec& like) const {
  return data_->connection.read("read how long answers were", [&]() -> std::optional<double> {
    auto statement = data_->connection.prepare(
        "SELECT sum(metrics.output_tokens) / nullif(sum(longest), 0) "
        "  FROM (SELECT id, predictions.output_tokens / answer_share AS longest "
        "          FROM predictions JOIN jobs ON jobs.id = predictions.job "
        "         WHERE state = 'completed' AND prompts_failed = 0 AND model_fingerprint = ?1 "
        "           AND max_tokens = ?2 AND predictions.output_tokens > 0 AND answer_share > 0 "
        "           AND coalesce(json_extract(spec, '$.ignore_eos'), 0) = 0 "
        "         ORDER BY id DESC LIMIT 5) AS recent "
        "  JOIN metrics ON metrics.job = recent.id");
    statement.bind(like.model_fingerprint, like.max_tokens);
    std::optional<double> share;
    if (statement.step()) statement.read(share);
    return share;
  });
}

}  // namespace sluice::db
