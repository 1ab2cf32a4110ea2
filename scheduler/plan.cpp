#include "scheduler/plan.h"

#include <signal.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "jobs/exit_status.h"

namespace sluice::scheduler {
namespace {

using jobs::EventKind;
using jobs::JobState;
using slurm::Phase;

struct ExitStatusWords {
  int code = 0, signal = 0;
};

// Slurm's "CODE:SIGNAL".
ExitStatusWords parse_exit(const std::string& text) {
  const auto colon = text.find(':');
  ExitStatusWords words{.code = std::atoi(text.c_str()), .signal = 0};
  if (colon != std::string::npos) words.signal = std::atoi(text.c_str() + colon + 1);
  // A shell reports a child that a signal killed as 128 + signal; but mpirun has statuses of its
  // own up there (132: the worker cannot be started, 205: a node is gone).
  constexpr int kDeadly[] = {SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGTERM};
  if (words.signal == 0 && std::ranges::count(kDeadly, words.code - 128) > 0) {
    words.signal = words.code - 128;
  }
  return words;
}

// Whether what is left is worth another attempt.
enum class Again {
  never,
  with_progress,  // it was stopped: to try again where nothing came of it would go on for ever
  always,         // it was not to blame, and need not have had the time for an answer
};

// What the cluster's word alone says of it. A word that is about the machines outweighs what the
// ranks wrote as theirs died.
Again cut_short(const slurm::JobStatus& status) {
  constexpr std::string_view kBlameless[] = {"NODE_FAIL", "PREEMPTED", "BOOT_FAIL"};
  if (std::ranges::find(kBlameless, status.state) != std::end(kBlameless)) return Again::always;
  return status.state == "TIMEOUT" ? Again::with_progress : Again::never;
}

std::string say_why(const slurm::JobStatus& status, const std::string& log) {
  std::string why = status.state;
  const auto exit = parse_exit(status.exit_code);
  const bool has_reason = !status.reason.empty() && status.reason != "None";
  if (status.state == "TIMEOUT") {
    why += ": the time limit was reached";
  } else if (status.state == "OUT_OF_MEMORY") {
    why += ": a rank needed more memory than the job was given (--mem)";
  } else if (exit.signal != 0) {
    why +=
        ": a rank, or the script itself, was killed (signal " + std::to_string(exit.signal) + ")";
  } else if (has_reason) {
    why += ": " + status.reason;
  } else if (exit.code != 0) {
    why += ": exit code " + std::to_string(exit.code);
  }
  return log.empty() ? why : why + "; see " + log;
}

// Plans for one job. Keeps the state that the actions so far lead to, so that each event is
// recorded against the state it will find.
class Planner {
 public:
  Planner(const JobSeen& seen, const Limits& limits, double now_unix_s)
      : seen_(seen), limits_(limits), now_s_(now_unix_s), state_(seen.job.state) {}

  std::vector<Action> actions() && {
    if (state_ == JobState::queued) {
      plan_queued();
    } else if (seen_.attempt) {
      if (state_ == JobState::submitting) plan_submitting();
      if (state_ == JobState::pending || state_ == JobState::running) plan_accepted();
    }
    return std::move(actions_);
  }

 private:
  // Since then. A time to come was written by a clock that was ahead, and to wait for it could take
  // for ever: it counts as far back as it lies ahead.
  double passed_s(double then_unix_s) const { return std::abs(now_s_ - then_unix_s); }

  template <typename What>
  void act(What what) {
    actions_.push_back({.job = seen_.job.id, .what = std::move(what)});
  }

  jobs::JobEvent to_event(EventKind kind, std::string reason) const {
    return {
        .kind = kind, .time_s = now_s_, .attempt = seen_.job.attempt, .reason = std::move(reason)};
  }

  void record(EventKind kind, std::string reason = {}, bool again = false) {
    jobs::JobEvent event = to_event(kind, std::move(reason));
    event.again = again;
    const auto next = jobs::next(state_, event);
    if (!next) return;
    act(Record{.expected = state_, .event = std::move(event)});
    state_ = *next;
  }

  void plan_queued() {
    if (seen_.job.cancel_requested) return record(EventKind::cancelled);
    act(Begin{.attempt = seen_.job.attempt + 1});
  }

  // Intent is on disk; whether sbatch was called, and what it said, is not known.
  void plan_submitting() {
    const double since_s = std::max(seen_.attempt->intended_unix_s, seen_.attempt->last_try_unix_s);
    const double waited_s = passed_s(since_s);
    if (seen_.owner != JobSeen::Owner::gone && waited_s < limits_.owner_s) return;
    if (seen_.claim) return finish(seen_.claim->cluster_id);
    if (seen_.sighting.kind == Sighting::Kind::seen) return finish(seen_.sighting.status.id);
    if (seen_.sighting.kind != Sighting::Kind::absent || waited_s < limits_.submit_grace_s) return;
    if (seen_.job.cancel_requested) return record(EventKind::cancelled);
    if (tried_enough()) return record(EventKind::failed, say_tried_enough());
    act(SubmitAgain{});
  }

  bool tried_enough() const { return seen_.attempt->tries >= limits_.submissions_max; }

  std::string say_tried_enough() const {
    const std::string& last_words = seen_.attempt->cluster_reason;
    return "submitted " + std::to_string(seen_.attempt->tries) +
           " times, and the cluster knows of none" + (last_words.empty() ? "" : ": " + last_words);
  }

  void finish(const std::string& cluster_id) {
    act(FinishSubmission{.cluster_id = cluster_id});
    state_ = JobState::pending;
  }

  void plan_accepted() {
    follow_cluster();
    record_runs();
    if (all_answered()) return complete();
    if (const auto end = attempt_end()) return decide(*end);
    ask_cancel();
  }

  void follow_cluster() {
    if (seen_.sighting.kind != Sighting::Kind::seen) return;
    const slurm::JobStatus& status = seen_.sighting.status;
    const db::Attempt& known = *seen_.attempt;
    if (std::tie(status.state, status.reason, status.nodes) !=
        std::tie(known.cluster_state, known.cluster_reason, known.nodes)) {
      act(NoteSighting{.status = status});
    }
    if (status.phase == Phase::running && state_ == JobState::pending) {
      record(EventKind::seen_running, status.reason == "None" ? "" : status.reason);
    }
    const bool waits = status.phase == Phase::pending || status.phase == Phase::requeued;
    if (waits && state_ == JobState::running) {
      record(EventKind::seen_pending, "requeued (" + status.state + ")");
    }
  }

  void record_runs() {
    for (const RunSeen& run : seen_.runs) {
      db::Store::RunNews news;
      if (run.started && !run.start_recorded) {
        news.started = to_event(EventKind::run_started, "run " + jobs::to_string(run.run));
        state_ = jobs::next(state_, *news.started).value_or(state_);
      }
      if (run.exit && !run.end_recorded) {
        const jobs::ExitRecord& exit = *run.exit;
        news.ended = to_event(EventKind::run_ended, say_end(exit.outcome, exit.message));
      }
      if (news.started || news.ended) act(RecordRun{.run = run, .news = std::move(news)});
    }
  }

  const jobs::ExitRecord* exit_record() const {
    if (seen_.runs.empty() || !seen_.runs.back().exit) return nullptr;
    return &*seen_.runs.back().exit;
  }

  std::int64_t answers() const { return seen_.job.prompts_ok + seen_.job.prompts_failed; }

  bool all_answered() const {
    return exit_record() && exit_record()->outcome == "completed" &&
           answers() == seen_.job.prompts_total;
  }

  void complete() {
    record(EventKind::completed,
           seen_.job.prompts_failed == 0
               ? ""
               : std::to_string(seen_.job.prompts_failed) +
                     (seen_.job.prompts_failed == 1 ? " prompt failed" : " prompts failed"));
  }

  // How an attempt ended that did not complete.
  struct End {
    bool cancelled = false;
    Again again = Again::never;
    std::string why;
  };

  // Nothing while the attempt goes on, or may go on for all we know.
  std::optional<End> attempt_end() {
    if (seen_.sighting.kind == Sighting::Kind::unknown) return std::nullopt;
    if (seen_.sighting.kind == Sighting::Kind::absent) return vanished();
    const slurm::JobStatus& status = seen_.sighting.status;
    const bool over = slurm::is_over(status.phase) ||
                      (status.phase == Phase::requeued && settled(status.end_unix_s));
    if (!over || answers_may_come(status.end_unix_s)) return std::nullopt;
    if (seen_.job.cancel_requested || status.phase == Phase::cancelled) {
      return End{.cancelled = true, .why = seen_.job.cancel_requested ? "" : say_why(status, {})};
    }
    if (exit_record()) return recorded_end(*exit_record(), status);
    if (!settled(status.end_unix_s)) return std::nullopt;
    return unrecorded_end(status);
  }

  std::optional<End> recorded_end(const jobs::ExitRecord& exit, const slurm::JobStatus& status) {
    if (exit.outcome == "completed") {
      if (!settled(status.end_unix_s)) return std::nullopt;
      return End{.why = say_incomplete()};
    }
    const bool failed = exit.outcome == "failed";
    const Again again = cut_short(status);
    if (again != Again::never && !(failed && exit.exit_code == jobs::kBadInput)) {
      return End{.again = again, .why = say_why(status, seen_.log)};
    }
    return End{.again = failed ? Again::never : Again::with_progress, .why = exit.message};
  }

  End unrecorded_end(const slurm::JobStatus& status) const {
    if (status.phase == Phase::succeeded) {
      // So ends mpirun whose machines lost their power.
      return End{.again = Again::with_progress,
                 .why = status.state + ", but the worker left no exit record; see " + seen_.log};
    }
    const bool stopped = parse_exit(status.exit_code).code == jobs::kStoppedEarly;
    return End{.again = stopped ? Again::with_progress : cut_short(status),
               .why = say_why(status, seen_.log)};
  }

  // A local disk shows a file at once, a shared one may take its time. An end whose time is not
  // known has not settled.
  bool settled(double end_unix_s) const {
    if (seen_.job.executor == "local") return true;
    return end_unix_s > 0 && passed_s(end_unix_s) >= limits_.exit_record_grace_s;
  }

  // The run counted more durable answers than are to be seen here yet.
  bool answers_may_come(double end_unix_s) const {
    const jobs::ExitRecord* exit = exit_record();
    return exit && answers() < exit->prompts_done &&
           !settled(std::max(end_unix_s, exit->ended_unix_s));
  }

  std::string say_incomplete() const {
    return "the worker says completed, but only " + std::to_string(answers()) + " of " +
           std::to_string(seen_.job.prompts_total) + " answers are durable";
  }

  // The cluster does not know the attempt any more, and says so.
  std::optional<End> vanished() {
    if (passed_s(seen_.attempt->last_try_unix_s) < limits_.submit_grace_s) return std::nullopt;
    if (answers_may_come(0)) return std::nullopt;
    if (seen_.job.cancel_requested) return End{.cancelled = true, .why = {}};
    const bool ran = seen_.claim || state_ == JobState::running;
    if (!ran) return lost();
    // While its files still change, something of it lives, or was seen to live just now.
    if (!settled(seen_.last_sign_unix_s.value_or(seen_.attempt->last_try_unix_s))) {
      return std::nullopt;
    }
    if (const auto* exit = exit_record(); exit && exit->outcome != "stopped") {
      return End{.why = exit->outcome == "completed" ? say_incomplete() : exit->message};
    }
    return End{
        .again = exit_record() ? Again::with_progress : Again::always,
        .why = "the cluster no longer knows " + seen_.attempt->cluster_id + "; see " + seen_.log};
  }

  std::optional<End> lost() {
    if (tried_enough()) return End{.why = say_tried_enough()};
    record(EventKind::lost, "accepted as " + seen_.attempt->cluster_id +
                                ", then forgotten by the cluster before it ran");
    act(SubmitAgain{});
    return std::nullopt;
  }

  void decide(const End& end) {
    const bool worth_it =
        end.again == Again::always || (end.again == Again::with_progress && seen_.answered);
    const bool again = worth_it && seen_.runs_used < seen_.job.max_attempts;
    record(EventKind::attempt_ended, end.why, again);
    if (again) return;
    std::string why = end.why;
    if (worth_it) {
      why += " (after " + std::to_string(seen_.runs_used) +
             (seen_.runs_used == 1 ? " run)" : " runs)");
    }
    record(end.cancelled ? EventKind::cancelled : EventKind::failed, why);
  }

  void ask_cancel() {
    if (!seen_.job.cancel_requested || jobs::is_final(state_)) return;
    if (state_ == JobState::submitting) return;
    if (passed_s(seen_.cancel_asked_unix_s) >= limits_.cancel_repeat_s) act(AskCancel{});
  }

  const JobSeen& seen_;
  const Limits& limits_;
  double now_s_;
  JobState state_;
  std::vector<Action> actions_;
};

struct Describe {
  std::string operator()(const Begin& begin) const {
    return "begin attempt " + std::to_string(begin.attempt);
  }
  std::string operator()(const SubmitAgain&) const { return "submit again"; }
  std::string operator()(const FinishSubmission& finish) const {
    return "finish submission as " + finish.cluster_id;
  }
  std::string operator()(const Record& record) const {
    std::string line = std::string(jobs::to_string(record.expected)) + ": " +
                       std::string(jobs::to_string(record.event.kind));
    if (record.event.again) line += " again";
    return record.event.reason.empty() ? line : line + " (" + record.event.reason + ")";
  }
  std::string operator()(const RecordRun& record) const {
    std::string line = "record run " + jobs::to_string(record.run.run);
    if (record.news.started) line += ", started";
    if (const auto& ended = record.news.ended) line += ", ended (" + ended->reason + ")";
    return line;
  }
  std::string operator()(const NoteSighting& note) const {
    return "note " + note.status.state +
           (note.status.reason.empty() ? "" : " " + note.status.reason);
  }
  std::string operator()(const AskCancel&) const { return "ask the cluster to cancel"; }
};

}  // namespace

std::vector<Action> plan(const JobSeen& seen, const Limits& limits, double now_unix_s) {
  return Planner(seen, limits, now_unix_s).actions();
}

std::vector<Action> plan(const std::vector<JobSeen>& snapshot, const Limits& limits,
                         double now_unix_s) {
  std::vector<Action> actions;
  for (const JobSeen& seen : snapshot) {
    for (auto& action : plan(seen, limits, now_unix_s)) actions.push_back(std::move(action));
  }
  return actions;
}

std::string say_end(const std::string& outcome, const std::string& message) {
  if (message.empty() || message.starts_with(outcome)) return message.empty() ? outcome : message;
  return outcome.empty() ? message : outcome + ": " + message;
}

std::string describe(const Action& action) { return std::visit(Describe{}, action.what); }

}  // namespace sluice::scheduler
