// What devices with clocks of their own measured.
#include "db/sqlite/migrations.h"

namespace sluice::db::sqlite {

const char* const kTablesV6 = R"sql(
ALTER TABLE stage_metrics ADD COLUMN device_compute_s REAL;
ALTER TABLE stage_metrics ADD COLUMN device_copy_s REAL;
ALTER TABLE stage_metrics ADD COLUMN device_wait_s REAL;
)sql";

const char* const kViewsV6 = R"sql(
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
       attempt, restart, decode_micro_batches, micro_batch_occupancy, cpu,
       device_compute_s, device_copy_s, device_wait_s
  FROM stage_metrics
 ORDER BY job, stage_metrics.attempt, restart, rank;
)sql";

}  // namespace sluice::db::sqlite
