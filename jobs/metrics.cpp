#include "jobs/metrics.h"

#include "jobs/io/record.h"

namespace sluice::jobs {

static void fields(io::Record& record, Started& started) {
  record.need()("run", started.run);
  record("cluster_id", started.cluster_id);
  record("started_unix_s", started.started_unix_s);
  record("hosts", started.hosts);
  record("partition_text", started.partition_text);
  record("backend", started.backend);
}

static void fields(io::Record& record, Progress& progress) {
  record.need()("prompts_total", progress.prompts_total);
  record.need()("prompts_done", progress.prompts_done);
  record("prompts_failed", progress.prompts_failed);
  record("output_tokens", progress.output_tokens);
  record("output_tokens_per_s", progress.output_tokens_per_s);
  record("wall_clock_s", progress.wall_clock_s);
  record("stage_busy_percent", progress.stage_busy_percent);
  record("updated_unix_s", progress.updated_unix_s);
}

static void fields(io::Record& record, StageMetrics& stage) {
  record.need()("rank", stage.rank);
  record("replica", stage.replica);
  record("stage", stage.stage);
  record("host", stage.host);
  record("cpu", stage.cpu);
  record("cores", stage.cores);
  record("first_layer", stage.first_layer);
  record("last_layer", stage.last_layer);
  record("has_embedding", stage.has_embedding);
  record("has_head", stage.has_head);
  record("elapsed_s", stage.elapsed_s);
  record("launch_s", stage.launch_s);
  record("load_s", stage.load_s);
  record("preprocess_s", stage.preprocess_s);
  record("wall_clock_s", stage.wall_clock_s);
  record("teardown_s", stage.teardown_s);
  record("elapsed_unattributed_s", stage.elapsed_unattributed_s);
  record("prefill_s", stage.prefill_s);
  record("decode_s", stage.decode_s);
  record("sampling_s", stage.sampling_s);
  record("communication_s", stage.communication_s);
  record("bubble_s", stage.bubble_s);
  record("output_s", stage.output_s);
  record("unattributed_s", stage.unattributed_s);
  record("device_compute_s", stage.device_compute_s);
  record("device_copy_s", stage.device_copy_s);
  record("device_wait_s", stage.device_wait_s);
  record("clock_error_s", stage.clock_error_s);
  record("micro_batches", stage.micro_batches);
  record("prefill_tokens", stage.prefill_tokens);
  record("decode_tokens", stage.decode_tokens);
  record("decode_micro_batches", stage.decode_micro_batches);
  record("micro_batch_occupancy", stage.micro_batch_occupancy);
  record("weight_bytes", stage.weight_bytes);
  record("kv_bytes", stage.kv_bytes);
  record("bytes_sent", stage.bytes_sent);
  record("messages_sent", stage.messages_sent);
}

static void fields(io::Record& record, Quantiles& quantiles) {
  record("p50", quantiles.p50);
  record("p90", quantiles.p90);
  record("p99", quantiles.p99);
}

static void fields(io::Record& record, RunMetrics& metrics) {
  record.need()("run", metrics.run);
  record("wall_clock_s", metrics.wall_clock_s);
  record("elapsed_s", metrics.elapsed_s);
  record("io_s", metrics.io_s);
  record("preprocess_s", metrics.preprocess_s);
  record("prompts_ok", metrics.prompts_ok);
  record("prompts_failed", metrics.prompts_failed);
  record("prompt_tokens", metrics.prompt_tokens);
  record("output_tokens", metrics.output_tokens);
  record("wasted_tokens", metrics.wasted_tokens);
  record("shared_prompt_tokens", metrics.shared_prompt_tokens);
  record("output_tokens_per_s", metrics.output_tokens_per_s);
  record("total_tokens_per_s", metrics.total_tokens_per_s);
  record("micro_batches", metrics.micro_batches);
  record("micro_batch_occupancy", metrics.micro_batch_occupancy);
  record.object("queue_s", metrics.queue_s);
  record.object("ttft_s", metrics.ttft_s);
  record.object("tpot_s", metrics.tpot_s);
  record.object("latency_s", metrics.latency_s);
}

static void fields(io::Record& record, ExitRecord& exit) {
  record.need()("run", exit.run);
  record.need()("exit_code", exit.exit_code);
  record.need()("outcome", exit.outcome);
  record("message", exit.message);
  record.need()("prompts_done", exit.prompts_done);
  record("prompts_failed", exit.prompts_failed);
  record("ended_unix_s", exit.ended_unix_s);
}

std::string to_json(const Started& value) { return io::write_record(value); }
std::string to_json(const Progress& value) { return io::write_record(value); }
std::string to_json(const StageMetrics& value) { return io::write_record(value); }
std::string to_json(const RunMetrics& value) { return io::write_record(value); }
std::string to_json(const ExitRecord& value) { return io::write_record(value); }

Started parse_started(std::string_view json) {
  return io::read_record<Started>(json, "started.json");
}
Progress parse_progress(std::string_view json) {
  return io::read_record<Progress>(json, "progress file");
}
StageMetrics parse_stage_metrics(std::string_view json) {
  return io::read_record<StageMetrics>(json, "stage metrics");
}
RunMetrics parse_run_metrics(std::string_view json) {
  return io::read_record<RunMetrics>(json, "metrics.json");
}
ExitRecord parse_exit_record(std::string_view json) {
  return io::read_record<ExitRecord>(json, "exit.json");
}

}  // namespace sluice::jobs
