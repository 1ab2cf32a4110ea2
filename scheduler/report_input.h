// What a report is made of, gathered from the database: the runs of a study, or of jobs that
// somebody names. Reads only.
#pragma once

#include <cstdint>
#include <vector>

#include "db/store.h"
#include "scheduler/report.h"

namespace sluice::scheduler {

// Throw scheduler::Error (not_found) when there is no such study or job. The input refers to
// `store`.
ReportInput input_of_study(const db::Store& store, std::int64_t study);

// Jobs with the same settings are repeats of one point. The kind is what differs between points:
// ranks with the same prompts (strong), ranks with as many prompts each (weak), the batch size
// (batch), else custom.
ReportInput input_of_jobs(const db::Store& store, const std::vector<jobs::JobId>& ids);

}  // namespace sluice::scheduler
