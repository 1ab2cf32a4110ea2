#include "worker/replica_report.h"

#include "worker/wire.h"

namespace sluice::worker {
namespace {

// All numbers of a report, in one order for both directions.
template <class Report, class Visit>
void each_number(Report& report, const Visit& visit) {
  visit(report.prompts_done);
  visit(report.prompts_failed);
  visit(report.leader.prompts_ok);
  visit(report.leader.prompts_failed);
  visit(report.leader.prompt_tokens);
  visit(report.leader.output_tokens);
  visit(report.leader.wasted_tokens);
  visit(report.leader.shared_prompt_tokens);
}

}  // namespace

pipeline::Bytes write(const ReplicaReport& report) {
  ByteWriter out;
  each_number(report, [&](const std::int64_t& number) { out.put(number); });
  out.put(static_cast<std::uint8_t>(report.cancelled));
  out.put(static_cast<std::uint8_t>(report.leader.stopped));
  out.put_all(report.leader.timings);
  return out.take();
}

ReplicaReport read_replica_report(const pipeline::Bytes& bytes) {
  ByteReader in(bytes);
  ReplicaReport report;
  each_number(report, [&](std::int64_t& number) { number = in.get<std::int64_t>(); });
  report.cancelled = in.get<std::uint8_t>() != 0;
  report.leader.stopped = in.get<std::uint8_t>() != 0;
  report.leader.timings = in.get_all<jobs::Timing>();
  in.finish();
  return report;
}

void add(ReplicaReport& sum, const ReplicaReport& part) {
  std::vector<std::int64_t> numbers;
  each_number(part, [&](const std::int64_t& number) { numbers.push_back(number); });
  auto next = numbers.begin();
  each_number(sum, [&](std::int64_t& number) { number += *next++; });
  sum.cancelled = sum.cancelled || part.cancelled;
  sum.leader.stopped = sum.leader.stopped || part.leader.stopped;
  sum.leader.timings.insert(sum.leader.timings.end(), part.leader.timings.begin(),
                            part.leader.timings.end());
}

}  // namespace sluice::worker
