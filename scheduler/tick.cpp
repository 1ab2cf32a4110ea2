#include "scheduler/tick.h"

#include "db/error.h"
#include "jobs/files.h"

namespace sluice::scheduler {

Report tick(const Site& site, const std::vector<jobs::JobId>& only) {
  Report report;
  // Before the look: what is seen may be later than this, never earlier, so no grace is cut short
  // by a cluster that took its time to answer.
  const double now_unix_s = jobs::unix_time_s();
  for (const JobSeen& seen : observe(site, only, report)) {
    try {
      for (const Action& action : plan(seen, site.limits, now_unix_s)) {
        if (apply(site, seen, action, report)) report.done.push_back(action);
      }
    } catch (const db::Error&) {
      throw;
    } catch (const std::exception& error) {
      report.warnings.push_back({.job = seen.job.id, .text = error.what()});
    }
  }
  return report;
}

}  // namespace sluice::scheduler
