// What earlier runs of a job have left to do: which prompts have a durable answer, and how many of
// those are errors.
#pragma once

#include <cstdint>

#include "jobs/layout.h"
#include "jobs/results.h"

namespace sluice::worker {

struct EarlierRuns {
  jobs::DoneSet done;
  std::int64_t failed = 0;  // prompts whose answer is an error
};

// Makes durable what it counts. Throws jobs::Error when a result file cannot be read.
EarlierRuns read_earlier_runs(const jobs::Layout& layout, std::int64_t prompts);

}  // namespace sluice::worker
