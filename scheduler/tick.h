// One look at everything and what follows from it: observe -> plan -> apply. There is no daemon:
// every command that reads state ticks first. Two ticks at once are safe, because each change is a
// compare-and-swap in the database.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "db/store.h"
#include "scheduler/executor.h"
#include "scheduler/plan.h"

namespace sluice::scheduler {

struct Site {
  db::Store& store;
  std::function<Executor&(const std::string& name)> executor;  // "slurm" | "local"
  Limits limits = {};
};

// What a tick wants people to know.
struct Report {
  struct Warning {
    jobs::JobId job = 0;  // 0: of no single job
    std::string text;
    bool unreachable = false;  // the cluster could not be asked
  };
  std::vector<Action> done;
  std::vector<Warning> warnings;
};

// `only`: these jobs; empty: all that have not ended. A job's error is a warning in the report and
// does not keep the others waiting; the database's own errors are thrown.
Report tick(const Site& site, const std::vector<jobs::JobId>& only = {});

// The first half: reads the database, asks the executors once, copies what job directories have
// new.
std::vector<JobSeen> observe(const Site& site, const std::vector<jobs::JobId>& only,
                             Report& report);

// The second half. False: someone else was faster, or nothing came of it.
bool apply(const Site& site, const JobSeen& seen, const Action& action, Report& report);

}  // namespace sluice::scheduler
