#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/layout.h"
#include "scheduler/cancel_request.h"
#include "scheduler/cli/commands.h"

namespace sluice::scheduler::cli {
namespace {

// Records the wish; a state that moved meanwhile is read again.
void record_wish(Session& session, jobs::JobId id) {
  for (auto job = session.job(id); !job.cancel_requested; job = session.job(id)) {
    if (jobs::is_final(job.state)) {
      throw Error(ExitStatus::failure, "job " + std::to_string(id) + " has already ended (" +
                                           std::string(to_string(job.state)) +
                                           "); there is nothing to cancel");
    }
    if (session.store().append_event(id, job.state,
                                     {.kind = jobs::EventKind::cancel_requested,
                                      .time_s = jobs::unix_time_s(),
                                      .attempt = job.attempt,
                                      .reason = {}})) {
      return;
    }
  }
}

// The file tells what runs on the nodes, even where the cluster cannot be asked now.
void request_cancel(Session& session, jobs::JobId id) {
  record_wish(session, id);
  const jobs::Layout layout(session.job(id).directory);
  std::error_code ignored;
  if (!std::filesystem::exists(layout.dir(), ignored)) return;
  try {
    publish_cancel_request(layout);
  } catch (const jobs::Error&) {
    // The tick asks the cluster all the same, and warns.
  }
}

ExitStatus cancel(Session& session, jobs::JobId id) {
  auto status = ExitStatus::ok;
  if (session.job(id).state != jobs::JobState::cancelled) {
    request_cancel(session, id);
    for (const auto& warning : session.tick({id}).warnings) {
      if (warning.unreachable) status = ExitStatus::unavailable;
    }
    // A job that had not started is over as soon as it is asked.
    if (!jobs::is_final(session.job(id).state)) session.tick({id});
  }
  const auto state = session.job(id).state;
  session.say("job " + std::to_string(id) +
              (jobs::is_final(state)
                   ? " " + std::string(to_string(state))
                   : " is being cancelled; see: sluice status " + std::to_string(id)));
  return status;
}

// One that cannot be cancelled does not keep the others running.
ExitStatus cancel_all(Session& session, const std::vector<jobs::JobId>& ids) {
  if (ids.size() == 1) return cancel(session, ids[0]);
  auto worst = ExitStatus::ok;
  for (const auto id : ids) {
    try {
      worst = std::max(worst, cancel(session, id));
    } catch (const Error& error) {
      std::cerr << "error: " << visible(error.what()) << "\n";
      worst = std::max(worst, error.status());
    }
  }
  return worst;
}

}  // namespace

void add_cancel(CommandLine& line) {
  auto ids = std::make_shared<std::vector<jobs::JobId>>();
  CLI::App* app = add_command(line,
                              {.name = "cancel",
                               .does = "end jobs; what they have answered is kept",
                               .examples = "  sluice cancel 17 18",
                               .formats = {}},
                              [&session = line.session, ids] { return cancel_all(session, *ids); });
  add_jobs_argument(app, *ids, true);
}

}  // namespace sluice::scheduler::cli
