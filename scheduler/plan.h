// The one place that decides: what is seen -> what is done. Pure; the clock is an argument.
// What a decision needs to know of a job is a JobSeen; what it may do is an Action.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "db/store.h"
#include "jobs/metrics.h"
#include "scheduler/claim.h"
#include "scheduler/executor.h"

namespace sluice::scheduler {

struct Limits {
  // A submission that nobody has seen is made again after this long: squeue knows a job at once,
  // accounting within 4 s, a claim as soon as a shared file system shows it.
  double submit_grace_s = 30;
  // A submitting attempt is its owner's alone for so long.
  double owner_s = 60;
  // An attempt is over, yet its exit record is not there: a shared file system may show it late.
  double exit_record_grace_s = 90;
  // Calls of sbatch for one attempt, before it is said that none of them arrives.
  int submissions_max = 5;
  // A cancel that had no effect yet is asked again.
  double cancel_repeat_s = 15;
};

// One run's folder.
struct RunSeen {
  jobs::RunId run;
  std::optional<jobs::Started> started;
  std::optional<jobs::ExitRecord> exit;
  bool start_recorded = false, end_recorded = false;  // in the database already
};

struct JobSeen {
  enum class Owner { here, elsewhere, gone };  // of a submitting attempt: the process that wrote it

  db::Job job;                         // its counts include every answer on disk
  std::optional<db::Attempt> attempt;  // the newest
  int runs_used = 0;                   // since the user last asked (submit, retry)
  Owner owner = Owner::gone;
  Sighting sighting;
  std::optional<Claim> claim;
  std::vector<RunSeen> runs;       // of the newest attempt, oldest first
  bool answered = false;           // the newest attempt gave an answer; only if it may be over
  double cancel_asked_unix_s = 0;  // when the cluster was last asked to end it
  // When the newest run last changed a file.
  std::optional<double> last_sign_unix_s;
  std::string log;  // where the script's output went
};

// A new submission: attempt number `attempt`, with a fresh token.
struct Begin {
  int attempt = 1;
};
// The same attempt once more, with its token.
struct SubmitAgain {};
// The cluster's id of a submission whose answer was lost.
struct FinishSubmission {
  std::string cluster_id;
};
struct Record {
  jobs::JobState expected = jobs::JobState::queued;
  jobs::JobEvent event;
};
struct RecordRun {
  RunSeen run;
  db::Store::RunNews news;
};
// The cluster's own words, for people.
struct NoteSighting {
  slurm::JobStatus status;
};
struct AskCancel {};

struct Action {
  jobs::JobId job = 0;
  std::variant<Begin, SubmitAgain, FinishSubmission, Record, RecordRun, NoteSighting, AskCancel>
      what;
};

std::vector<Action> plan(const std::vector<JobSeen>& snapshot, const Limits& limits,
                         double now_unix_s);
std::vector<Action> plan(const JobSeen& seen, const Limits& limits, double now_unix_s);

// How a run ended, in a line: "failed: no room", but not "stopped: stopped early".
std::string say_end(const std::string& outcome, const std::string& message);

std::string describe(const Action& action);  // one line, for logs and tests

}  // namespace sluice::scheduler
