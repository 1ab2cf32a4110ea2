// Oracle: the table of states and events in docs/data-model.md, which people read.
#include "jobs/state.h"

#include <gmock/gmock.h>

#include <fstream>
#include <map>
#include <sstream>

namespace sluice::jobs {
namespace {

constexpr int kStates = 7, kEvents = 17;

JobState state_at(int i) { return static_cast<JobState>(i); }
EventKind event_at(int i) { return static_cast<EventKind>(i); }

std::vector<std::string> cells_of(const std::string& row) {
  std::vector<std::string> cells;
  std::istringstream stream(row.substr(1));
  for (std::string cell; std::getline(stream, cell, '|');) {
    const auto first = cell.find_first_not_of(" `"), last = cell.find_last_not_of(" `");
    cells.push_back(first == cell.npos ? "" : cell.substr(first, last - first + 1));
  }
  return cells;
}

// (event as the document names it, state) -> cell
std::map<std::pair<std::string, JobState>, std::string> documented_moves() {
  std::ifstream document(SLUICE_TEST_DATA "/../../docs/data-model.md");
  std::map<std::pair<std::string, JobState>, std::string> moves;
  std::vector<std::string> header;
  for (std::string line; std::getline(document, line);) {
    if (!line.starts_with('|')) {
      header.clear();
      continue;
    }
    const auto cells = cells_of(line);
    if (cells.front() == "event") header = cells;
    if (header.empty() || cells.front() == "event" || cells.front().starts_with("--")) continue;
    for (std::size_t column = 1; column < header.size(); ++column) {
      moves[{cells.front(), *parse_job_state(header[column])}] = cells.at(column);
    }
  }
  return moves;
}

TEST(States, EveryPairOfStateAndEventIsAsDocumented) {
  const auto documented = documented_moves();
  EXPECT_EQ(documented.size(), static_cast<std::size_t>(kStates * (kEvents + 1)));
  for (int e = 0; e < kEvents; ++e) {
    for (int s = 0; s < kStates; ++s) {
      for (const bool again : {false, true}) {
        const bool own_row = again && event_at(e) == EventKind::attempt_ended;
        const auto name = std::string(to_string(event_at(e))) + (own_row ? ", again" : "");
        const auto found = documented.find({name, state_at(s)});
        ASSERT_NE(found, documented.end()) << name << " in " << to_string(state_at(s));
        const auto after = next(state_at(s), {.kind = event_at(e), .again = again});
        const std::string_view word = !after                  ? "-"
                                      : *after == state_at(s) ? "stays"
                                                              : to_string(*after);
        EXPECT_EQ(word, found->second) << name << " in " << to_string(state_at(s));
      }
    }
  }
}

TEST(States, OnlyTheUserLeavesAFinalState) {
  for (int e = 0; e < kEvents; ++e) {
    for (int s = 0; s < kStates; ++s) {
      for (const bool again : {false, true}) {
        const auto after = next(state_at(s), {.kind = event_at(e), .again = again});
        if (is_final(state_at(s)) && event_at(e) != EventKind::retried) {
          EXPECT_EQ(after.value_or(state_at(s)), state_at(s)) << to_string(event_at(e));
        }
      }
    }
  }
}

TEST(States, WordsAndValuesAreOneToOne) {
  for (int s = 0; s < kStates; ++s) EXPECT_EQ(parse_job_state(to_string(state_at(s))), state_at(s));
  for (int e = 0; e < kEvents; ++e)
    EXPECT_EQ(parse_event_kind(to_string(event_at(e))), event_at(e));
  EXPECT_EQ(parse_job_state("Queued"), std::nullopt);
  EXPECT_EQ(parse_event_kind(""), std::nullopt);
}

std::optional<JobState> replay_of(std::initializer_list<EventKind> kinds) {
  std::vector<JobEvent> events;
  for (const auto kind : kinds) {
    // Where an attempt's end is followed by another submission it was `again`.
    events.push_back({.kind = kind, .again = kind == EventKind::attempt_ended});
  }
  return replay(events);
}

TEST(Replay, TellsTheLifeOfAJob) {
  using enum EventKind;
  EXPECT_EQ(replay_of({created, submit_intended, submitted, seen_running, run_started, run_ended,
                       completed}),
            JobState::completed);
  EXPECT_EQ(
      replay_of({created, submit_intended, submitted, lost, submitted, seen_running, seen_pending,
                 seen_running, attempt_ended, submit_intended, submit_refused, retried}),
      JobState::queued);
  EXPECT_EQ(replay_of({created, cancel_requested, cancelled, note, run_ended, result_conflict}),
            JobState::cancelled);
}

TEST(Replay, RefusesWhatIsNoLife) {
  using enum EventKind;
  EXPECT_EQ(replay_of({}), std::nullopt);
  EXPECT_EQ(replay_of({submit_intended}), std::nullopt);
  EXPECT_EQ(replay_of({created, created}), std::nullopt);
  EXPECT_EQ(replay_of({created, submitted}), std::nullopt);
  EXPECT_EQ(replay_of({created, completed}), std::nullopt);
  EXPECT_EQ(replay_of({created, submit_intended, completed}), std::nullopt);
}

}  // namespace
}  // namespace sluice::jobs
