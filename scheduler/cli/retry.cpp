#include <memory>

#include "jobs/files.h"
#include "jobs/layout.h"
#include "jobs/set_aside.h"
#include "scheduler/cancel_request.h"
#include "scheduler/cli/commands.h"

namespace sluice::scheduler::cli {
namespace {

std::int64_t without_outcome(const db::Job& job) {
  return job.prompts_total - job.prompts_ok - job.prompts_failed;
}

void check_retryable(const db::Job& job, bool failed_only) {
  const std::string id = std::to_string(job.id), who = "job " + id;
  if (!jobs::is_final(job.state)) {
    throw Error(ExitStatus::usage, who + " is " + std::string(to_string(job.state)) +
                                       "; only a job that has ended can be retried");
  }
  if (failed_only && without_outcome(job) > 0) {
    throw Error(ExitStatus::usage, who + " has prompts without an answer: sluice retry " + id +
                                       " runs those, and --failed-only then the failed ones");
  }
  if (failed_only && job.prompts_failed == 0) {
    throw Error(ExitStatus::usage, who + ": no prompt failed");
  }
  if (failed_only || job.state != jobs::JobState::completed) return;
  throw Error(ExitStatus::usage,
              who + " is completed: every prompt has its " +
                  (job.prompts_failed == 0 ? "answer"
                                           : "outcome; sluice retry " + id +
                                                 " --failed-only runs the failed ones again"));
}

ExitStatus retry(Session& session, jobs::JobId id, bool failed_only) {
  session.catch_up(id);
  const auto job = session.job(id);
  check_retryable(job, failed_only);
  const jobs::Layout layout(job.directory);
  withdraw_cancel_request(layout);
  const jobs::JobEvent event{
      .kind = jobs::EventKind::retried,
      .time_s = jobs::unix_time_s(),
      .attempt = job.attempt,
      .reason = failed_only ? "failed prompts retried by the user" : "retried by the user"};
  // Inside the transaction: no attempt can begin that has not seen it.
  const auto set_errors_aside = [&] {
    if (failed_only) jobs::SetAside(layout.set_aside()).add(job.attempt + 1);
  };
  if (!session.store().append_event(id, job.state, event, set_errors_aside)) {
    throw Error(ExitStatus::failure, "job " + std::to_string(id) +
                                         " was changed by another command; look again with: "
                                         "sluice status " +
                                         std::to_string(id));
  }
  session.tick({id});
  const auto retried = session.job(id);
  refuse_refused(retried, "retry again");
  const auto rest = failed_only ? job.prompts_failed : without_outcome(job);
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
  CLI::App* app = add_command(
      line,
      {.name = "retry",
       .does = "run an ended job again: only what has no answer yet, or only what failed",
       .examples = "  sluice retry 17\n"
                   "  sluice retry 17 --failed-only",
       .formats = {}},
      [&session = line.session, ids, failed_only] {
        return retry(session, ids->at(0), *failed_only);
      });
  add_jobs_argument(app, *ids, true);
  app->get_option("JOB")->expected(1);
  app->add_flag("--failed-only", *failed_only,
                "run the prompts again whose outcome is an error; the others' answers stay");
}

}  // namespace sluice::scheduler::cli
