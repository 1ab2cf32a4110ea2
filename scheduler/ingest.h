// Copies what a job directory has new into the database: answers and measurements. Facts, no
// decisions: reading the same twice changes nothing, and two processes may read at once.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "db/store.h"
#include "jobs/layout.h"
#include "scheduler/plan.h"

namespace sluice::scheduler {

// Told of each file that is there and cannot be read. It is passed over: one bad file of a run is
// no reason to leave its job alone.
using Unreadable = std::function<void(const std::string& why)>;

// The folders of an attempt's runs, oldest first, without what the database knows of them.
std::vector<RunSeen> read_runs(const jobs::Layout& layout, int attempt,
                               const Unreadable& unreadable);

// Runs since the user last asked for them (submit, retry), requeues included; an attempt is one
// from the moment it is intended. What max-attempts limits.
int runs_since_asked(const std::vector<db::Event>& events, const jobs::Layout& layout);

// New lines of every result file.
void ingest_results(db::Store& store, jobs::JobId job, const jobs::Layout& layout);
// Every line, as if none had been read: a file may have been cut or replaced since.
void ingest_results_anew(db::Store& store, jobs::JobId job, const jobs::Layout& layout);

// metrics.json and stage-*.json of one run.
void ingest_metrics(db::Store& store, jobs::JobId job, const jobs::Layout& layout, jobs::RunId run,
                    const Unreadable& unreadable);

}  // namespace sluice::scheduler
