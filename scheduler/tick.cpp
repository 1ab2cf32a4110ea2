#include "scheduler/tick.h"

#include "jobs/files.h"

namespace sluice::scheduler {

Report tick(const Site& site, const std::vector<jobs::JobId>& only) {
  Report report;
  for (const JobSeen& seen : observe(site, only, report)) {
    try {
      for (const Action& action : plan(seen, site.limits, jobs::unix_time_s())) {
        if (apply(site, seen, action, report)) report.done.push_back(action);
      }
    } catch (const std::exception& error) {
      report.warnings.push_back({.job = seen.job.id, .text = error.what()});
    }
  }
  return report;
}

}  // namespace sluice::scheduler
