#include "worker/pipeline/stage_trace.h"

#include <algorithm>
#include <cmath>

namespace sluice::worker::pipeline {

std::int64_t StageTrace::overwritten() const {
  return static_cast<std::int64_t>(written_ - std::min<std::uint64_t>(written_, entries_.size()));
}

jobs::Trace StageTrace::since(double origin_s) const {
  const auto ns = [&](double time_s) { return std::llround((time_s - origin_s) * 1e9); };
  jobs::Trace trace;
  trace.head.overwritten = overwritten();
  const auto kept = static_cast<std::size_t>(std::min<std::uint64_t>(written_, entries_.size()));
  for (std::size_t i = 0; i < kept; ++i) {
    const Entry& entry = entries_[(next_ + entries_.size() - kept + i) % entries_.size()];
    const Span& span = entry.span;
    if (entry.of == Of::span) {
      trace.spans.push_back({.kind = entry.kind,
                             .begin_ns = ns(span.begin_s),
                             .end_ns = ns(span.end_s),
                             .micro_batch = span.micro_batch,
                             .communication_ns = std::llround(span.communication_s * 1e9),
                             .prefill_tokens = span.prefill_tokens,
                             .decode_tokens = span.decode_tokens});
      continue;
    }
    jobs::TraceMessage message{.sent = entry.of == Of::sent,
                               .at_ns = ns(span.begin_s),
                               .peer = entry.peer,
                               .cargo = entry.cargo,
                               .micro_batch = span.micro_batch};
    if (message.sent) {
      message.bytes = std::llround(span.end_s);
    } else if (!std::isnan(span.end_s)) {
      message.stamp_ns = ns(span.end_s);
    }
    trace.messages.push_back(message);
  }
  // A work is recorded when it ends, after all within it.
  std::ranges::stable_sort(trace.spans, [](const jobs::TraceSpan& a, const jobs::TraceSpan& b) {
    return a.begin_ns != b.begin_ns ? a.begin_ns < b.begin_ns
                                    : holds_others(a.kind) > holds_others(b.kind);
  });
  std::ranges::stable_sort(trace.messages, {}, &jobs::TraceMessage::at_ns);
  return trace;
}

}  // namespace sluice::worker::pipeline
