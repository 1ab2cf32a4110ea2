#include <algorithm>

#include "scheduler/cli/commands.h"

namespace sluice::scheduler::cli {

void add_tick(CommandLine& line) {
  add_command(line,
              {.name = "tick",
               .does = "look, record, decide, act, once (for cron, scrontab)",
               .examples = "  */5 * * * * sluice tick --quiet",
               .formats = {}},
              [&session = line.session] {
                if (!session.has_database()) return ExitStatus::ok;  // nothing was submitted yet
                const Report report = session.tick();
                for (const Action& action : report.done) {
                  session.say("job " + std::to_string(action.job) + "  " + describe(action));
                }
                const bool unreachable =
                    std::ranges::any_of(report.warnings, &Report::Warning::unreachable);
                return unreachable ? ExitStatus::unavailable : ExitStatus::ok;
              });
}

}  // namespace sluice::scheduler::cli
