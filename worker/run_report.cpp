#include "worker/run_report.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

namespace sluice::worker {
namespace {

double per_second(std::int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

std::optional<jobs::TraceKind> kind_of(Phase phase) {
  switch (phase) {
    case Phase::launch:
      return jobs::TraceKind::launch;
    case Phase::load:
      return jobs::TraceKind::load;
    case Phase::preprocess:
      return jobs::TraceKind::preprocess;
    case Phase::teardown:
      return jobs::TraceKind::teardown;
    case Phase::window:
      break;
  }
  return std::nullopt;
}

// Phases before the window and after it. They are told by this machine's clock, and the window by
// rank 0's: one does not reach into the other.
void add_phases(const PhaseClock& phases, double origin_s, jobs::Trace& trace) {
  std::vector<jobs::TraceSpan> spans;
  for (const PhaseClock::Span& span : phases.spans()) {
    const auto kind = kind_of(span.phase);
    if (!kind) continue;
    const bool after = *kind == jobs::TraceKind::teardown;
    jobs::TraceSpan phase{.kind = *kind,
                          .begin_ns = std::llround((span.begun_s - origin_s) * 1e9),
                          .end_ns = std::llround((span.ended_s - origin_s) * 1e9)};
    if (after) phase.begin_ns = std::max(phase.begin_ns, trace.head.window_ns);
    if (!after) phase.end_ns = std::min<std::int64_t>(phase.end_ns, 0);
    if (phase.begin_ns < phase.end_ns) (after ? trace.spans : spans).push_back(phase);
  }
  if (!spans.empty()) trace.head.began_ns = spans.front().begin_ns;
  trace.spans.insert(trace.spans.begin(), spans.begin(), spans.end());
}

}  // namespace

jobs::StageMetrics measure_stage(int rank, const pipeline::Plan& plan, const Engine& engine,
                                 const PhaseClock& phases) {
  using pipeline::Category;
  const pipeline::StageClock& clock = engine.clock();
  const pipeline::StageCounts& counts = engine.stage().counts();
  const model::StageRange& range = engine.forward().range();
  jobs::StageMetrics m;
  m.rank = rank;
  m.replica = plan.replica(rank);
  m.stage = plan.place(rank).stage;
  m.host = plan.hosts[static_cast<std::size_t>(rank)];
  m.first_layer = range.first;
  m.last_layer = range.end - 1;
  m.has_embedding = range.has_embedding;
  m.has_head = range.head_is_split ? range.shard.count() > 0 : range.has_head;

  m.wall_clock_s = clock.wall_s();
  m.prefill_s = clock.seconds(Category::prefill);
  m.decode_s = clock.seconds(Category::decode);
  m.sampling_s = clock.seconds(Category::sampling);
  m.communication_s = clock.seconds(Category::communication);
  m.bubble_s = clock.seconds(Category::bubble);
  m.output_s = clock.seconds(Category::output);
  m.unattributed_s = m.wall_clock_s - (m.prefill_s + m.decode_s + m.sampling_s + m.communication_s +
                                       m.bubble_s + m.output_s);
  m.clock_error_s = engine.clock_error_s();
  if (const auto device = engine.forward().device_times()) {
    m.device_compute_s = device->compute_s;
    m.device_copy_s = device->copy_s;
    m.device_wait_s = m.wall_clock_s - device->compute_s;
  }

  m.micro_batches = counts.micro_batches;
  m.prefill_tokens = counts.prefill_tokens;
  m.decode_tokens = counts.decode_tokens;
  m.decode_micro_batches = counts.decode_micro_batches;
  if (counts.decode_micro_batches > 0) {
    m.micro_batch_occupancy = static_cast<double>(counts.decode_sequences) /
                              (static_cast<double>(counts.decode_micro_batches) * plan.batch_size);
  }
  m.bytes_sent = counts.bytes_sent;
  m.messages_sent = counts.messages_sent;
  m.weight_bytes = static_cast<std::int64_t>(engine.forward().weight_bytes());
  m.kv_bytes = static_cast<std::int64_t>(engine.forward().kv_bytes());

  m.launch_s = phases.seconds(Phase::launch);
  m.load_s = phases.seconds(Phase::load);
  m.preprocess_s = phases.seconds(Phase::preprocess);
  m.teardown_s = phases.seconds(Phase::teardown);
  m.elapsed_s = phases.elapsed_s();
  m.elapsed_unattributed_s =
      m.elapsed_s - (m.launch_s + m.load_s + m.preprocess_s + m.wall_clock_s + m.teardown_s);
  return m;
}

jobs::Trace trace_stage(jobs::RunId run, int rank, const pipeline::Plan& plan, const Engine& engine,
                        const PhaseClock& phases) {
  const pipeline::StageClock& clock = engine.clock();
  jobs::Trace trace = clock.trace().since(clock.opened_s());
  trace.head.run = run;
  trace.head.rank = rank;
  trace.head.ranks = static_cast<int>(plan.hosts.size());
  trace.head.replica = plan.replica(rank);
  trace.head.stage = plan.place(rank).stage;
  trace.head.host = plan.hosts[static_cast<std::size_t>(rank)];
  trace.head.layers = to_string(engine.forward().range());
  trace.head.clock_error_s = engine.clock_error_s();
  trace.head.window_ns = std::llround(clock.wall_s() * 1e9);
  add_phases(phases, clock.opened_s() - engine.clock_offset().offset_s, trace);
  return trace;
}

jobs::RunMetrics measure_run(jobs::RunId run, const LeaderReport& report,
                             std::span<const jobs::StageMetrics> stages) {
  const auto longest = [&](double jobs::StageMetrics::*member) {
    double longest_s = 0;
    for (const jobs::StageMetrics& stage : stages) longest_s = std::max(longest_s, stage.*member);
    return longest_s;
  };
  const auto quantiles_of = [&](double jobs::Timing::*member) {
    std::vector<double> values;
    values.reserve(report.timings.size());
    for (const jobs::Timing& timing : report.timings) {
      if (!std::isnan(timing.*member)) values.push_back(timing.*member);
    }
    return quantiles(std::move(values));
  };
  jobs::RunMetrics m;
  m.run = run;
  m.wall_clock_s = longest(&jobs::StageMetrics::wall_clock_s);
  m.elapsed_s = longest(&jobs::StageMetrics::elapsed_s);
  m.io_s = longest(&jobs::StageMetrics::load_s);
  m.preprocess_s = longest(&jobs::StageMetrics::preprocess_s);
  m.prompts_ok = report.prompts_ok;
  m.prompts_failed = report.prompts_failed;
  m.prompt_tokens = report.prompt_tokens;
  m.output_tokens = report.output_tokens;
  m.wasted_tokens = report.wasted_tokens;
  m.shared_prompt_tokens = report.shared_prompt_tokens;
  m.output_tokens_per_s = per_second(m.output_tokens, m.wall_clock_s);
  m.total_tokens_per_s = per_second(m.prompt_tokens + m.output_tokens, m.wall_clock_s);
  double full = 0, decoding = 0;
  for (const jobs::StageMetrics& stage : stages) {
    if (stage.stage > 0) continue;  // a micro-batch passes all stages of its replica
    m.micro_batches += stage.micro_batches;
    if (stage.decode_micro_batches == 0) continue;
    const auto count = static_cast<double>(stage.decode_micro_batches);
    full += stage.micro_batch_occupancy * count;
    decoding += count;
  }
  if (decoding > 0) m.micro_batch_occupancy = full / decoding;
  m.queue_s = quantiles_of(&jobs::Timing::queue_s);
  m.ttft_s = quantiles_of(&jobs::Timing::ttft_s);
  m.tpot_s = quantiles_of(&jobs::Timing::tpot_s);
  m.latency_s = quantiles_of(&jobs::Timing::latency_s);
  return m;
}

jobs::Quantiles quantiles(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto at = [&](double p) {
    const double place = p * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (place - std::floor(place)) * (values[above] - values[below]);
  };
  return {.p50 = at(0.50), .p90 = at(0.90), .p99 = at(0.99)};
}

}  // namespace sluice::worker
