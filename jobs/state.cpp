#include "jobs/state.h"

#include <algorithm>
#include <array>

namespace sluice::jobs {
namespace {

constexpr std::array<std::string_view, 7> kStateWords = {
    "queued", "submitting", "pending", "running", "completed", "failed", "cancelled"};

// One row an event, one column a state, both in the order of their enums. A letter is the state
// that the event leads to, '=' leaves the job where it is, '.' does not apply.
constexpr std::string_view kLetters = "QSPRCFX";
struct Row {
  std::string_view moves, event;
};
constexpr std::array<Row, 17> kRows = {{
    // QSPRCFX
    {".......", "created"},  // only ever the first event
    {"S......", "submit_intended"},
    {".P.....", "submitted"},
    {".F.....", "submit_refused"},
    {"..PP...", "seen_pending"},
    {"..R....", "seen_running"},
    {"..S....", "lost"},
    {"==R====", "run_started"},  // submitting: the cluster's id is still to be found
    {"=======", "run_ended"},
    {".======", "attempt_ended"},
    {"..CC...", "completed"},
    {"FFFF...", "failed"},
    {"====...", "cancel_requested"},
    {"XXXX...", "cancelled"},
    {"....QQQ", "retried"},
    {"=======", "result_conflict"},
    {"=======", "note"},
}};
static_assert(kRows.size() == static_cast<std::size_t>(EventKind::note) + 1);
constexpr std::string_view kAttemptEndedAgain = ".QQQ...";

}  // namespace

std::string_view to_string(JobState state) { return kStateWords[static_cast<std::size_t>(state)]; }

std::optional<JobState> parse_job_state(std::string_view word) {
  const auto found = std::ranges::find(kStateWords, word);
  if (found == kStateWords.end()) return std::nullopt;
  return static_cast<JobState>(found - kStateWords.begin());
}

bool is_final(JobState state) {
  return state == JobState::completed || state == JobState::failed || state == JobState::cancelled;
}

std::string_view to_string(EventKind kind) { return kRows[static_cast<std::size_t>(kind)].event; }

std::optional<EventKind> parse_event_kind(std::string_view word) {
  const auto found = std::ranges::find(kRows, word, &Row::event);
  if (found == kRows.end()) return std::nullopt;
  return static_cast<EventKind>(found - kRows.begin());
}

std::optional<JobState> next(JobState state, const JobEvent& event) {
  const bool again = event.kind == EventKind::attempt_ended && event.again;
  const auto moves = again ? kAttemptEndedAgain : kRows[static_cast<std::size_t>(event.kind)].moves;
  const char move = moves[static_cast<std::size_t>(state)];
  if (move == '.') return std::nullopt;
  if (move == '=') return state;
  return static_cast<JobState>(kLetters.find(move));
}

std::optional<JobState> replay(const std::vector<JobEvent>& events) {
  if (events.empty() || events.front().kind != EventKind::created) return std::nullopt;
  std::optional<JobState> state = JobState::queued;
  for (auto event = events.begin() + 1; state && event != events.end(); ++event) {
    state = next(*state, *event);
  }
  return state;
}

}  // namespace sluice::jobs
