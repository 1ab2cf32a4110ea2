// A job's life as data: states, events, and the one function that moves a job. Pure.
// Events are the truth; the state column of the database is a cache of replaying them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::jobs {

enum class JobState { queued, submitting, pending, running, completed, failed, cancelled };

std::string_view to_string(JobState state);
std::optional<JobState> parse_job_state(std::string_view word);
bool is_final(JobState state);  // completed, failed, cancelled

enum class EventKind {
  created,           // -> queued
  submit_intended,   // queued -> submitting: a token is on disk, sbatch has not been called
  submitted,         // submitting -> pending: the cluster's id is known
  submit_refused,    // submitting -> failed: sbatch said no, and nothing with the token is there
  seen_pending,      // pending, running -> pending: waits (also again, after a requeue)
  seen_running,      // pending -> running
  lost,              // pending -> submitting: accepted, then forgotten by the cluster before it
                     // ran; the same token is submitted again
  run_started,       // a run's started.json was found; moves pending to running
  run_ended,         // a run's exit.json was found; no move
  attempt_ended,     // the cluster or the supervisor says the attempt is over; -> queued when
                     // `again` (resubmitted with a new attempt), else decided by completed/failed
  completed,         // -> completed: exit.json says so and every prompt has a durable result
  failed,            // -> failed
  cancel_requested,  // no move; the cluster is asked
  cancelled,         // -> cancelled
  retried,           // failed, cancelled, completed with failed prompts -> queued, by the user
  result_conflict,   // two different answers for one prompt; no move
  note,              // anything worth keeping; no move
};
std::string_view to_string(EventKind kind);
std::optional<EventKind> parse_event_kind(std::string_view word);

struct JobEvent {
  EventKind kind = EventKind::note;
  double time_s = 0;   // unix
  int attempt = 0;     // 0: the job as a whole
  bool again = false;  // attempt_ended: the job goes back to the queue
  std::string reason =
      {};  // TIMEOUT, NODE_FAIL, the worker's own message, ...; shown beside the state
};

// The state after `event`; nullopt when the event does not apply to a job in `state` (someone else
// moved it first, or the event is out of order): then nothing may be recorded.
std::optional<JobState> next(JobState state, const JobEvent& event);

// The state of a whole log; nullopt when it is no valid life (the first event must be `created`).
std::optional<JobState> replay(const std::vector<JobEvent>& events);

}  // namespace sluice::jobs
