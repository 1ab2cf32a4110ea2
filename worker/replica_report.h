// What the leader of a replica knows at the end and tells rank 0, which puts all replicas together.
// Values and their bytes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/leader.h"
#include "worker/pipeline/link.h"

namespace sluice::worker {

struct ReplicaReport {
  LeaderReport leader;
  std::int64_t prompts_done = 0, prompts_failed = 0;  // durable
  bool cancelled = false;                             // by a request, rather than a signal
};

pipeline::Bytes write(const ReplicaReport& report);
ReplicaReport read_replica_report(const pipeline::Bytes& bytes);  // throws worker::Error

void add(ReplicaReport& sum, const ReplicaReport& part);

}  // namespace sluice::worker
