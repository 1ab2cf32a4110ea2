// Oracle: what is written reads back as the same; every message that is received was sent.
#include <string>

#include "jobs/error.h"
#include "jobs/trace.h"
#include "tests/fuzz/fuzz.h"

namespace sluice {
namespace {

// The least line that is a span has 12 bytes, and makes one of 48, thrice while their list grows.
constexpr tests::MemoryBound kMemory{.base = std::size_t{256} << 10, .per_byte = 64};

void check(std::string_view text) {
  const auto trace = tests::parse_or_refuse<jobs::Error>(kMemory, text.size(),
                                                         [&] { return jobs::parse_trace(text); });
  const auto head = tests::parse_or_refuse<jobs::Error>(kMemory, text.size(), [&] {
    return jobs::parse_trace_head(text.substr(0, text.find('\n')));
  });
  if (!trace) return;
  tests::require(head.has_value(), "a trace begins with its head");
  const std::string written = to_text(*trace);
  const jobs::Trace read = jobs::parse_trace(written);
  tests::require(read.spans == trace->spans && read.messages == trace->messages,
                 "a written trace reads back");
  tests::require(to_text(read) == written, "and is written the same");
  for (const jobs::TraceSpan& span : trace->spans) {
    tests::require(span.begin_ns <= span.end_ns, "no span ends before it begins");
  }
  for (const jobs::TraceFlow& flow : trace_flows(std::span(&*trace, 1))) {
    tests::require(
        trace->messages[flow.sent.message].sent && !trace->messages[flow.received.message].sent,
        "a flow goes from a send to a receive");
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::check(sluice::tests::text_of(data, size));
  return 0;
}
