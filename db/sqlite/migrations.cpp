#include "db/sqlite/migrations.h"

namespace sluice::db::sqlite {

const char* const kTablesV1 = R"sql(

CREATE TABLE jobs (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
  uid              TEXT NOT NULL UNIQUE,
  name             TEXT NOT NULL,
  directory        TEXT NOT NULL,
  executor         TEXT NOT NULL,
  model            TEXT NOT NULL,
  state            TEXT NOT NULL CHECK (state IN ('queued', 'submitting', 'pending', 'running',
                                                  'completed', 'failed', 'cancelled')),
  reason           TEXT NOT NULL DEFAULT '',
  attempt          INTEGER NOT NULL DEFAULT 0,
  max_attempts     INTEGER NOT NULL,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  prompts_total    INTEGER NOT NULL,
  prompts_ok       INTEGER NOT NULL DEFAULT 0,
  prompts_failed   INTEGER NOT NULL DEFAULT 0,
  created_unix_s   REAL NOT NULL,
  started_unix_s   REAL NOT NULL DEFAULT 0,
  ended_unix_s     REAL NOT NULL DEFAULT 0,
  nodes            INTEGER NOT NULL,
  ranks_per_node   INTEGER NOT NULL,
  replicas         INTEGER NOT NULL,
  stages           INTEGER NOT NULL,
  batch_size       INTEGER NOT NULL,
  max_tokens       INTEGER NOT NULL,
  "precision"      TEXT NOT NULL,
  backend          TEXT NOT NULL,
  spec             TEXT NOT NULL                       -- spec.json
);
CREATE INDEX jobs_by_state ON jobs (state);

CREATE TABLE attempts (
  job               INTEGER NOT NULL REFERENCES jobs (id),
  attempt           INTEGER NOT NULL,
  token             TEXT NOT NULL UNIQUE,
  cluster_name      TEXT NOT NULL,
  cluster_id        TEXT NOT NULL,
  owner_host        TEXT NOT NULL,
  owner_pid         INTEGER NOT NULL,
  owner_start_ticks INTEGER NOT NULL,
  intended_unix_s   REAL NOT NULL,
  submitted_unix_s  REAL NOT NULL,
  ended_unix_s      REAL NOT NULL,
  last_try_unix_s   REAL NOT NULL,
  tries             INTEGER NOT NULL,
  cluster_state     TEXT NOT NULL,
  cluster_reason    TEXT NOT NULL,
  nodes             TEXT NOT NULL,
  PRIMARY KEY (job, attempt)
);

CREATE TABLE runs (
  job            INTEGER NOT NULL REFERENCES jobs (id),
  attempt        INTEGER NOT NULL,
  restart        INTEGER NOT NULL,
  cluster_id     TEXT NOT NULL,
  partition_text TEXT NOT NULL,
  started_unix_s REAL NOT NULL,
  ended_unix_s   REAL NOT NULL,
  exit_code      INTEGER,
  outcome        TEXT NOT NULL,
  message        TEXT NOT NULL,
  PRIMARY KEY (job, attempt, restart)
);

CREATE TABLE events (
  job     INTEGER NOT NULL REFERENCES jobs (id),
  seq     INTEGER NOT NULL,
  kind    TEXT NOT NULL,
  time_s  REAL NOT NULL,
  attempt INTEGER NOT NULL,
  again   INTEGER NOT NULL,
  reason  TEXT NOT NULL,
  PRIMARY KEY (job, seq)
) WITHOUT ROWID;

CREATE TABLE results (
  job           INTEGER NOT NULL REFERENCES jobs (id),
  prompt_index  INTEGER NOT NULL,
  sample        INTEGER NOT NULL,
  id            TEXT NOT NULL,
  status        TEXT NOT NULL,
  text          TEXT NOT NULL,
  token_ids     TEXT NOT NULL,   -- a JSON list
  finish_reason TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  error_code    TEXT,
  error_message TEXT,
  queue_s       REAL,
  ttft_s        REAL,
  tpot_s        REAL,
  latency_s     REAL,
  replica       INTEGER NOT NULL,
  attempt       INTEGER NOT NULL,
  restart       INTEGER NOT NULL,
  PRIMARY KEY (job, prompt_index, sample)
);

-- How far each result file has been read.
CREATE TABLE ingested (
  job    INTEGER NOT NULL REFERENCES jobs (id),
  file   TEXT NOT NULL,
  "end"  INTEGER NOT NULL,   -- byte offset
  PRIMARY KEY (job, file)
) WITHOUT ROWID;

CREATE TABLE metrics (
  job                 INTEGER NOT NULL REFERENCES jobs (id),
  attempt             INTEGER NOT NULL,
  restart             INTEGER NOT NULL,
  wall_clock_s        REAL,
  elapsed_s           REAL,
  io_s                REAL,
  preprocess_s        REAL,
  prompts_ok          INTEGER NOT NULL,
  prompts_failed      INTEGER NOT NULL,
  prompt_tokens       INTEGER NOT NULL,
  output_tokens       INTEGER NOT NULL,
  wasted_tokens       INTEGER NOT NULL,
  output_tokens_per_s REAL,
  total_tokens_per_s  REAL,
  queue_p50_s   REAL, queue_p90_s   REAL, queue_p99_s   REAL,
  ttft_p50_s    REAL, ttft_p90_s    REAL, ttft_p99_s    REAL,
  tpot_p50_s    REAL, tpot_p90_s    REAL, tpot_p99_s    REAL,
  latency_p50_s REAL, latency_p90_s REAL, latency_p99_s REAL,
  PRIMARY KEY (job, attempt, restart)
);

CREATE TABLE stage_metrics (
  job           INTEGER NOT NULL REFERENCES jobs (id),
  attempt       INTEGER NOT NULL,
  restart       INTEGER NOT NULL,
  rank          INTEGER NOT NULL,
  replica       INTEGER NOT NULL,
  stage         INTEGER NOT NULL,
  host          TEXT NOT NULL,
  cores         TEXT NOT NULL,
  first_layer   INTEGER NOT NULL,
  last_layer    INTEGER NOT NULL,
  has_embedding INTEGER NOT NULL,
  has_head      INTEGER NOT NULL,
  elapsed_s     REAL, launch_s REAL, load_s REAL, preprocess_s REAL, wall_clock_s REAL,
  teardown_s    REAL, elapsed_unattributed_s REAL,
  prefill_s     REAL, decode_s REAL, sampling_s REAL, communication_s REAL, bubble_s REAL,
  output_s      REAL, unattributed_s REAL,
  clock_error_s REAL,
  micro_batches INTEGER NOT NULL, prefill_tokens INTEGER NOT NULL, decode_tokens INTEGER NOT NULL,
  weight_bytes  INTEGER NOT NULL, kv_bytes INTEGER NOT NULL,
  bytes_sent    INTEGER NOT NULL, messages_sent INTEGER NOT NULL,
  PRIMARY KEY (job, attempt, restart, rank)
);
)sql";

// For people: columns named as docs/data-model.md defines them. The two sums stand beside what they
// should equal: elapsed_sum_s beside elapsed_s, wall_sum_s beside wall_clock_s.
const char* const kViewsV1 = R"sql(

CREATE VIEW v_stages AS
SELECT job, attempt || '.' || restart AS run, rank, replica, stage, host, cores,
       first_layer, last_layer, has_embedding, has_head,
       elapsed_s, launch_s, load_s, preprocess_s, wall_clock_s, teardown_s, elapsed_unattributed_s,
       launch_s + load_s + preprocess_s + wall_clock_s + teardown_s + elapsed_unattributed_s
         AS elapsed_sum_s,
       prefill_s, decode_s, sampling_s, communication_s, bubble_s, output_s, unattributed_s,
       prefill_s + decode_s + sampling_s + communication_s + bubble_s + output_s + unattributed_s
         AS wall_sum_s,
       bubble_s / nullif(wall_clock_s, 0) AS bubble_share,
       clock_error_s, micro_batches, prefill_tokens, decode_tokens,
       weight_bytes, kv_bytes, bytes_sent, messages_sent,
       attempt, restart
  FROM stage_metrics
 ORDER BY job, stage_metrics.attempt, restart, rank;

-- Parts of the two sums are means over the run's ranks; io_s and preprocess_s the longest rank's.
CREATE VIEW v_runs AS
SELECT runs.job, runs.attempt || '.' || runs.restart AS run, cluster_id, partition_text,
       nullif(started_unix_s, 0) AS started_unix_s, nullif(ended_unix_s, 0) AS ended_unix_s,
       exit_code, outcome, message,
       prompts_ok, prompts_failed, prompt_tokens, output_tokens, wasted_tokens,
       metrics.wall_clock_s, output_tokens_per_s, total_tokens_per_s,
       metrics.elapsed_s, io_s, metrics.preprocess_s,
       launch_mean_s, load_mean_s, preprocess_mean_s, teardown_mean_s, elapsed_unattributed_mean_s,
       elapsed_sum_s,
       prefill_s, decode_s, sampling_s, communication_s, bubble_s, output_s, unattributed_s,
       wall_sum_s,
       bubble_s / nullif(metrics.wall_clock_s, 0) AS bubble_share,
       queue_p50_s, queue_p90_s, queue_p99_s, ttft_p50_s, ttft_p90_s, ttft_p99_s,
       tpot_p50_s, tpot_p90_s, tpot_p99_s, latency_p50_s, latency_p90_s, latency_p99_s,
       ranks, runs.attempt, runs.restart
  FROM runs
  LEFT JOIN metrics USING (job, attempt, restart)
  LEFT JOIN (SELECT job, attempt, restart, count(*) AS ranks,
                    avg(launch_s) AS launch_mean_s, avg(load_s) AS load_mean_s,
                    avg(preprocess_s) AS preprocess_mean_s, avg(teardown_s) AS teardown_mean_s,
                    avg(elapsed_unattributed_s) AS elapsed_unattributed_mean_s,
                    avg(elapsed_sum_s) AS elapsed_sum_s,
                    avg(prefill_s) AS prefill_s, avg(decode_s) AS decode_s,
                    avg(sampling_s) AS sampling_s, avg(communication_s) AS communication_s,
                    avg(bubble_s) AS bubble_s, avg(output_s) AS output_s,
                    avg(unattributed_s) AS unattributed_s, avg(wall_sum_s) AS wall_sum_s
               FROM v_stages GROUP BY job, attempt, restart) USING (job, attempt, restart)
 ORDER BY runs.job, runs.attempt, runs.restart;

-- Times and tokens are sums over the job's runs. Quantiles cannot be summed: they stand here for a
-- job of one measured run, else see v_runs.
CREATE VIEW v_jobs AS
SELECT jobs.id AS job, name, state, reason, executor, model,
       nodes, ranks_per_node, replicas, stages, batch_size, max_tokens, "precision", backend,
       prompts_total, prompts_ok, prompts_failed, attempt AS attempts, coalesce(runs, 0) AS runs,
       created_unix_s, nullif(started_unix_s, 0) AS started_unix_s,
       nullif(ended_unix_s, 0) AS ended_unix_s,
       nullif(started_unix_s, 0) - created_unix_s AS queue_wait_s,
       wall_clock_s, prompt_tokens, output_tokens, wasted_tokens,
       output_tokens / nullif(wall_clock_s, 0) AS output_tokens_per_s,
       (prompt_tokens + output_tokens) / nullif(wall_clock_s, 0) AS total_tokens_per_s,
       elapsed_s, elapsed_sum_s, io_s, preprocess_s,
       prefill_s, decode_s, sampling_s, communication_s, bubble_s, output_s, unattributed_s,
       wall_sum_s, bubble_s / nullif(wall_clock_s, 0) AS bubble_share,
       queue_p50_s, queue_p90_s, queue_p99_s, ttft_p50_s, ttft_p90_s, ttft_p99_s,
       tpot_p50_s, tpot_p90_s, tpot_p99_s, latency_p50_s, latency_p90_s, latency_p99_s,
       directory, uid
  FROM jobs
  LEFT JOIN (SELECT job, count(*) AS runs, sum(wall_clock_s) AS wall_clock_s,
                    sum(prompt_tokens) AS prompt_tokens, sum(output_tokens) AS output_tokens,
                    sum(wasted_tokens) AS wasted_tokens,
                    sum(elapsed_s) AS elapsed_s, sum(elapsed_sum_s) AS elapsed_sum_s,
                    sum(io_s) AS io_s, sum(preprocess_s) AS preprocess_s,
                    sum(prefill_s) AS prefill_s, sum(decode_s) AS decode_s,
                    sum(sampling_s) AS sampling_s, sum(communication_s) AS communication_s,
                    sum(bubble_s) AS bubble_s, sum(output_s) AS output_s,
                    sum(unattributed_s) AS unattributed_s, sum(wall_sum_s) AS wall_sum_s
               FROM v_runs GROUP BY job) AS sums ON sums.job = jobs.id
  LEFT JOIN (SELECT job, max(queue_p50_s) AS queue_p50_s, max(queue_p90_s) AS queue_p90_s,
                    max(queue_p99_s) AS queue_p99_s, max(ttft_p50_s) AS ttft_p50_s,
                    max(ttft_p90_s) AS ttft_p90_s, max(ttft_p99_s) AS ttft_p99_s,
                    max(tpot_p50_s) AS tpot_p50_s, max(tpot_p90_s) AS tpot_p90_s,
                    max(tpot_p99_s) AS tpot_p99_s, max(latency_p50_s) AS latency_p50_s,
                    max(latency_p90_s) AS latency_p90_s, max(latency_p99_s) AS latency_p99_s
               FROM metrics GROUP BY job HAVING count(*) = 1) AS quantiles
         ON quantiles.job = jobs.id
 ORDER BY jobs.id;

CREATE VIEW v_results AS
SELECT job, prompt_index, sample, id, status, text, token_ids, finish_reason,
       prompt_tokens, output_tokens, error_code, error_message,
       queue_s, ttft_s, tpot_s, latency_s, replica, attempt || '.' || restart AS run
  FROM results
 ORDER BY job, prompt_index, sample;
)sql";

const char* const kTablesV2 = R"sql(
ALTER TABLE stage_metrics ADD COLUMN decode_micro_batches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stage_metrics ADD COLUMN micro_batch_occupancy REAL;
ALTER TABLE metrics ADD COLUMN micro_batches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE metrics ADD COLUMN micro_batch_occupancy REAL;
)sql";

const char* const kViewsV2 = R"sql(
DROP VIEW v_runs;
DROP VIEW v_stages;

CREATE VIEW v_stages AS
SELECT job, attempt || '.' || restart AS run, rank, replica, stage, host, cores,
       first_layer, last_layer, has_embedding, has_head,
       elapsed_s, launch_s, load_s, preprocess_s, wall_clock_s, teardown_s, elapsed_unattributed_s,
       launch_s + load_s + preprocess_s + wall_clock_s + teardown_s + elapsed_unattributed_s
         AS elapsed_sum_s,
       prefill_s, decode_s, sampling_s, communication_s, bubble_s, output_s, unattributed_s,
       prefill_s + decode_s + sampling_s + communication_s + bubble_s + output_s + unattributed_s
         AS wall_sum_s,
       bubble_s / nullif(wall_clock_s, 0) AS bubble_share,
       clock_error_s, micro_batches, prefill_tokens, decode_tokens,
       weight_bytes, kv_bytes, bytes_sent, messages_sent,
       attempt, restart, decode_micro_batches, micro_batch_occupancy
  FROM stage_metrics
 ORDER BY job, stage_metrics.attempt, restart, rank;

-- Parts of the two sums are means over the run's ranks; io_s and preprocess_s the longest rank's.
CREATE VIEW v_runs AS
SELECT runs.job, runs.attempt || '.' || runs.restart AS run, cluster_id, partition_text,
       nullif(started_unix_s, 0) AS started_unix_s, nullif(ended_unix_s, 0) AS ended_unix_s,
       exit_code, outcome, message,
       prompts_ok, prompts_failed, prompt_tokens, output_tokens, wasted_tokens,
       metrics.wall_clock_s, output_tokens_per_s, total_tokens_per_s,
       metrics.elapsed_s, io_s, metrics.preprocess_s,
       launch_mean_s, load_mean_s, preprocess_mean_s, teardown_mean_s, elapsed_unattributed_mean_s,
       elapsed_sum_s,
       prefill_s, decode_s, sampling_s, communication_s, bubble_s, output_s, unattributed_s,
       wall_sum_s,
       bubble_s / nullif(metrics.wall_clock_s, 0) AS bubble_share,
       queue_p50_s, queue_p90_s, queue_p99_s, ttft_p50_s, ttft_p90_s, ttft_p99_s,
       tpot_p50_s, tpot_p90_s, tpot_p99_s, latency_p50_s, latency_p90_s, latency_p99_s,
       ranks, runs.attempt, runs.restart, micro_batches, micro_batch_occupancy
  FROM runs
  LEFT JOIN metrics USING (job, attempt, restart)
  LEFT JOIN (SELECT job, attempt, restart, count(*) AS ranks,
                    avg(launch_s) AS launch_mean_s, avg(load_s) AS load_mean_s,
                    avg(preprocess_s) AS preprocess_mean_s, avg(teardown_s) AS teardown_mean_s,
                    avg(elapsed_unattributed_s) AS elapsed_unattributed_mean_s,
                    avg(elapsed_sum_s) AS elapsed_sum_s,
                    avg(prefill_s) AS prefill_s, avg(decode_s) AS decode_s,
                    avg(sampling_s) AS sampling_s, avg(communication_s) AS communication_s,
                    avg(bubble_s) AS bubble_s, avg(output_s) AS output_s,
                    avg(unattributed_s) AS unattributed_s, avg(wall_sum_s) AS wall_sum_s
               FROM v_stages GROUP BY job, attempt, restart) USING (job, attempt, restart)
 ORDER BY runs.job, runs.attempt, runs.restart;
)sql";

const char* const kTablesV3 = R"sql(
ALTER TABLE results ADD COLUMN logprobs TEXT;  -- as in a result line
)sql";

const char* const kViewsV3 = R"sql(
DROP VIEW v_results;

CREATE VIEW v_results AS
SELECT job, prompt_index, sample, id, status, text, token_ids, finish_reason,
       prompt_tokens, output_tokens, error_code, error_message,
       queue_s, ttft_s, tpot_s, latency_s, replica, attempt || '.' || restart AS run, logprobs
  FROM results
 ORDER BY job, prompt_index, sample;
)sql";

const char* const kTablesV4 = R"sql(
-- Of a text that was scored.
ALTER TABLE results ADD COLUMN logprob_sum REAL;
ALTER TABLE results ADD COLUMN tokens_scored INTEGER;
ALTER TABLE results ADD COLUMN is_greedy INTEGER;
ALTER TABLE metrics ADD COLUMN shared_prompt_tokens INTEGER NOT NULL DEFAULT 0;
)sql";

const char* const kViewsV4 = R"sql(
DROP VIEW v_results;
DROP VIEW v_runs;

CREATE VIEW v_results AS
SELECT job, prompt_index, sample, id, status, text, token_ids, finish_reason,
       prompt_tokens, output_tokens, error_code, error_message,
       queue_s, ttft_s, tpot_s, latency_s, replica, attempt || '.' || restart AS run, logprobs,
       logprob_sum, tokens_scored, is_greedy
  FROM results
 ORDER BY job, prompt_index, sample;

-- Parts of the two sums are means over the run's ranks; io_s and preprocess_s the longest rank's.
CREATE VIEW v_runs AS
SELECT runs.job, runs.attempt || '.' || runs.restart AS run, cluster_id, partition_text,
       nullif(started_unix_s, 0) AS started_unix_s, nullif(ended_unix_s, 0) AS ended_unix_s,
       exit_code, outcome, message,
       prompts_ok, prompts_failed, prompt_tokens, output_tokens, wasted_tokens,
       metrics.wall_clock_s, output_tokens_per_s, total_tokens_per_s,
       metrics.elapsed_s, io_s, metrics.preprocess_s,
       launch_mean_s, load_mean_s, preprocess_mean_s, teardown_mean_s, elapsed_unattributed_mean_s,
       elapsed_sum_s,
       prefill_s, decode_s, sampling_s, communication_s, bubble_s, output_s, unattributed_s,
       wall_sum_s,
       bubble_s / nullif(metrics.wall_clock_s, 0) AS bubble_share,
       queue_p50_s, queue_p90_s, queue_p99_s, ttft_p50_s, ttft_p90_s, ttft_p99_s,
       tpot_p50_s, tpot_p90_s, tpot_p99_s, latency_p50_s, latency_p90_s, latency_p99_s,
       ranks, runs.attempt, runs.restart, micro_batches, micro_batch_occupancy,
       shared_prompt_tokens
  FROM runs
  LEFT JOIN metrics USING (job, attempt, restart)
  LEFT JOIN (SELECT job, attempt, restart, count(*) AS ranks,
                    avg(launch_s) AS launch_mean_s, avg(load_s) AS load_mean_s,
                    avg(preprocess_s) AS preprocess_mean_s, avg(teardown_s) AS teardown_mean_s,
                    avg(elapsed_unattributed_s) AS elapsed_unattributed_mean_s,
                    avg(elapsed_sum_s) AS elapsed_sum_s,
                    avg(prefill_s) AS prefill_s, avg(decode_s) AS decode_s,
                    avg(sampling_s) AS sampling_s, avg(communication_s) AS communication_s,
                    avg(bubble_s) AS bubble_s, avg(output_s) AS output_s,
                    avg(unattributed_s) AS unattributed_s, avg(wall_sum_s) AS wall_sum_s
               FROM v_stages GROUP BY job, attempt, restart) USING (job, attempt, restart)
 ORDER BY runs.job, runs.attempt, runs.restart;
)sql";

}  // namespace sluice::db::sqlite
