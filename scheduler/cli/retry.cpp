#include <memory>

#include "jobs/files.h"
#include "jobs/layout.h"
#include "scheduler/cancel_request.h"
#include "scheduler/cli/commands.h"

namespace sluice::scheduler::cli {
namespace {

void check_retryable(const db::Job& job) {
  const std::string who = "job " + std::to_string(job.id);
  if (!jobs::is_final(job.state)) {
    throw Error(ExitStatus::usage, who + " is " + std::string(to_string(job.state)) +
                                       "; only a job that has ended can be retried");
  }
  if (job.state != jobs::JobState::completed) return;
  const std::string what =
      job.prompts_failed == 0
          ? ": every prompt has its answer"
          : ": every prompt has its outcome; running the failed ones again belongs to a later "
            "version of Sluice. Mend them and submit them as a new job";
  throw Error(ExitStatus::usage, who + " is completed" + what);
}

ExitStatus retry(Session& session, jobs::JobId id) {
  session.catch_up(id);
  const auto job = session.job(id);
  check_retryable(job);
  withdraw_cancel_request(jobs::Layout(job.directory));
  if (!session.store().append_event(id, job.state,
                                    {.kind = jobs::EventKind::retried,
                                     .time_s = jobs::unix_time_s(),
                                     .attempt = job.attempt,
                                     .reason = "retried by the user"})) {
    throw Error(ExitStatus::failure, "job " + std::to_string(id) +
                                         " was changed by another command; look again with: "
                                         "sluice status " +
                                         std::to_string(id));
  }
  session.tick({id});
  const auto retried = session.job(id);
  refuse_refused(retried, "retry again");
  const auto rest = job.prompts_total - job.prompts_ok - job.prompts_failed;
  session.say("job " + std::to_string(id) + " " + std::string(to_string(retried.state)) +
              ": attempt " + std::to_string(retried.attempt) + " does the remaining " +
              with_commas(rest) + " of " + with_commas(job.prompts_total) + " prompts");
  const auto attempt = session.store().newest_attempt(id);
  return end_submission(session, retried, attempt && attempt->tries > 0);
}

}  // namespace

void add_retry(CommandLine& line) {
  auto ids = std::make_shared<std::vector<jobs::JobId>>();
  auto failed_only = std::make_shared<bool>(false);
  CLI::App* app = add_command(line,
                              {.name = "retry",
                               .does = "run an ended job again: only what has no answer yet",
                               .examples = "  sluice retry 17",
                               .formats = {}},
                              [&session = line.session, ids, failed_only] {
                                if (*failed_only) {
                                  throw Error(ExitStatus::usage,
                                              "--failed-only belongs to a later version of Sluice; "
                                              "this one runs what has no answer yet");
                                }
                                return retry(session, ids->at(0));
                              });
  add_jobs_argument(app, *ids, true);
  app->get_option("JOB")->expected(1);
  app->add_flag("--failed-only", *failed_only)->group("");
}

}  // namespace sluice::scheduler::cli
