// Studies: sets of jobs that are compared.
#include "db/sqlite/migrations.h"

namespace sluice::db::sqlite {

const char* const kTablesV5 = R"sql(
CREATE TABLE studies (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  name           TEXT NOT NULL,
  kind           TEXT NOT NULL,
  directory      TEXT NOT NULL,
  repeats        INTEGER NOT NULL,   -- of each point, wanted
  chained        INTEGER NOT NULL,   -- each job waits for the one before it
  created_unix_s REAL NOT NULL
);

-- One row of the study's table: the same settings, run again and again.
CREATE TABLE study_points (
  study INTEGER NOT NULL REFERENCES studies (id),
  point INTEGER NOT NULL,
  role  TEXT NOT NULL,               -- '' or independent
  file  TEXT NOT NULL,               -- its prompts, in the study's directory
  spec  TEXT NOT NULL,               -- a spec.json without job and uid
  PRIMARY KEY (study, point)
) WITHOUT ROWID;

CREATE TABLE study_runs (
  study INTEGER NOT NULL REFERENCES studies (id),
  point INTEGER NOT NULL,
  "repeat" INTEGER NOT NULL,         -- from 1
  job   INTEGER NOT NULL UNIQUE REFERENCES jobs (id),
  PRIMARY KEY (study, point, "repeat")
) WITHOUT ROWID;

-- How long processors take for models, as sluice-worker measured it.
CREATE TABLE calibrations (
  cpu               TEXT NOT NULL,
  model_fingerprint TEXT NOT NULL,
  "precision"       TEXT NOT NULL,
  threads           INTEGER NOT NULL,
  batch_size        INTEGER NOT NULL,
  token_budget      INTEGER NOT NULL,
  beside            INTEGER NOT NULL,   -- ranks that computed on one machine at once
  measured_unix_s   REAL NOT NULL,
  calibration       TEXT NOT NULL,      -- the worker's JSON
  PRIMARY KEY (cpu, model_fingerprint, "precision", threads, batch_size, token_budget, beside)
) WITHOUT ROWID;

-- What was expected of a job before it ran.
CREATE TABLE predictions (
  job               INTEGER PRIMARY KEY REFERENCES jobs (id),
  cpu               TEXT NOT NULL,      -- of the calibration
  model_fingerprint TEXT NOT NULL,
  "precision"       TEXT NOT NULL,
  threads           INTEGER NOT NULL,
  is_single         INTEGER NOT NULL,   -- one rank
  simulated_s       REAL NOT NULL,      -- the wall-clock by calibration alone
  correction        REAL NOT NULL,      -- by earlier jobs
  wall_clock_s      REAL NOT NULL,      -- their product
  elapsed_s         REAL NOT NULL,
  output_tokens     REAL NOT NULL,      -- expected
  answer_share      REAL NOT NULL,      -- they are this share of what answers may be long
  is_at_most        INTEGER NOT NULL    -- answers may end before
);

ALTER TABLE stage_metrics ADD COLUMN cpu TEXT NOT NULL DEFAULT '';
)sql";

const char* const kViewsV5 = R"sql(
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
       attempt, restart, decode_micro_batches, micro_batch_occupancy, cpu
  FROM stage_metrics
 ORDER BY job, stage_metrics.attempt, restart, rank;

CREATE VIEW v_predictions AS
SELECT predictions.job, name, state, nodes, replicas, stages, batch_size, predictions."precision",
       predictions.wall_clock_s AS predicted_s, v_jobs.wall_clock_s,
       predictions.wall_clock_s / v_jobs.wall_clock_s - 1 AS error,
       simulated_s, correction, predictions.elapsed_s AS predicted_elapsed_s, v_jobs.elapsed_s,
       predictions.output_tokens AS expected_output_tokens, v_jobs.output_tokens, is_at_most,
       predictions.cpu, v_jobs.runs
  FROM predictions JOIN v_jobs USING (job)
 ORDER BY predictions.job;

-- A row for each job of a study, with what its table is made of; communication_s is the longest
-- stage's.
CREATE VIEW v_studies AS
SELECT studies.id AS study, studies.name AS study_name, studies.kind, point, role, "repeat",
       study_runs.job, state, nodes, ranks_per_node, replicas, stages, batch_size, prompts_total,
       wall_clock_s, prompt_tokens, output_tokens, output_tokens_per_s, total_tokens_per_s,
       io_s, longest_communication_s AS communication_s, preprocess_s, v_jobs.runs
  FROM study_runs
  JOIN studies ON studies.id = study_runs.study
  JOIN study_points USING (study, point)
  JOIN v_jobs ON v_jobs.job = study_runs.job
  LEFT JOIN (SELECT job, max(communication_s) AS longest_communication_s
               FROM stage_metrics GROUP BY job) AS longest ON longest.job = study_runs.job
 ORDER BY studies.id, point, "repeat";
)sql";

}  // namespace sluice::db::sqlite
