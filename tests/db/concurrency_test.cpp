// Oracle: each move of a job can happen once; SQLite's integrity check; replaying the events.
// Processes, not threads: that is how `sluice` commands meet.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "db/error.h"
#include "tests/db/fixture.h"

namespace sluice::db {
namespace {

using jobs::EventKind;
using jobs::JobState;

// Runs `work(i)` in `count` processes at once; their exit codes (200: an exception, told on
// stderr).
std::vector<int> in_processes(int count, const std::function<int(int)>& work) {
  int gate[2];
  EXPECT_EQ(::pipe(gate), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < count; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    ::close(gate[1]);
    char opened = 0;
    [[maybe_unused]] const auto end = ::read(gate[0], &opened, 1);  // until the parent closes it
    try {
      ::_exit(work(i));
    } catch (const std::exception& error) {
      std::fprintf(stderr, "process %d: %s\n", i, error.what());
      ::_exit(200);
    }
  }
  ::close(gate[0]);
  ::close(gate[1]);
  std::vector<int> codes;
  for (const auto child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  }
  return codes;
}

int sum(const std::vector<int>& codes) {
  int total = 0;
  for (const int code : codes) total += code;
  return total;
}

TEST(Concurrency, FirstOpenersMayRace) {
  for (int round = 0; round < 5; ++round) {
    const tests::TempDir dir;
    const auto path = dir / "new/sluice.db";
    const auto codes = in_processes(6, [&](int) {
      auto store = Store::open(path);
      tests::add_job(store);
      return 0;
    });
    EXPECT_EQ(sum(codes), 0);
    EXPECT_EQ(Store::open(path).all_jobs().size(), 6u);
  }
}

// Every process tries every move of every job: the moves that succeed are exactly one a step.
TEST(Concurrency, EachMoveHappensExactlyOnce) {
  constexpr int kJobs = 10, kProcesses = 4, kMoves = 5;
  const tests::TempDir dir;
  const auto path = dir / "sluice.db";
  std::vector<jobs::JobId> ids;
  {
    auto store = Store::open(path);
    for (int i = 0; i < kJobs; ++i) ids.push_back(tests::add_job(store));
  }
  const auto codes = in_processes(kProcesses, [&](int) {
    auto store = Store::open(path);
    int moves = 0;
    for (const auto id : ids) {
      const auto mine = tests::attempt_of(id);
      moves += store.begin_attempt(mine);
      const auto attempt = store.newest_attempt(id).value();
      moves += store.finish_submission(attempt, "1", 2);
      moves += store.append_event(id, JobState::pending, tests::event_of(EventKind::seen_running));
      moves += store.add_results(id, {.file = "f", .offset = 0, .end = 1, .results = {}});
      moves += store.append_event(id, JobState::running, tests::event_of(EventKind::completed));
    }
    return moves;
  });
  EXPECT_EQ(sum(codes), kJobs * kMoves);
  const auto store = Store::open(path);
  for (const auto& job : store.all_jobs()) {
    EXPECT_EQ(job.state, JobState::completed);
    EXPECT_EQ(store.events(job.id).size(), 5u);
    EXPECT_EQ(store.attempts(job.id).size(), 1u);
  }
  EXPECT_TRUE(tests::events_tell_every_state(store));
}

TEST(Concurrency, ResultsOfOneFileAreTakenOnce) {
  constexpr int kProcesses = 4, kBatches = 25, kPerBatch = 4;
  const tests::TempDir dir;
  const auto path = dir / "sluice.db";
  jobs::JobId id = 0;
  {
    auto store = Store::open(path);
    id = tests::add_job(store, kBatches * kPerBatch, "0badcafe");
  }
  const auto codes = in_processes(kProcesses, [&](int) {
    auto store = Store::open(path);
    int taken = 0;
    for (;;) {
      const auto offset = store.ingested_offset(id, "1.0-0.jsonl");
      if (offset == kBatches * kPerBatch) return taken;
      Store::ResultBatch batch{
          .file = "1.0-0.jsonl", .offset = offset, .end = offset + kPerBatch, .results = {}};
      for (auto index = offset; index < batch.end; ++index) {
        jobs::Result result;
        result.id = std::to_string(index);
        result.index = index;
        result.job = "0badcafe";
        batch.results.push_back(result);
      }
      taken += store.add_results(id, batch);
    }
  });
  EXPECT_EQ(sum(codes), kBatches);
  EXPECT_EQ(Store::open(path).job(id)->prompts_ok, kBatches * kPerBatch);
}

// A reader that holds a transaction open and a DELETE journal: writers wait, nobody fails.
TEST(Concurrency, TheDeleteJournalIsSafeToo) {
  const tests::TempDir dir;
  const auto path = dir / "sluice.db";
  Store::open(path);
  tests::execute(path, "PRAGMA journal_mode = DELETE");
  const auto codes = in_processes(4, [&](int i) {
    for (int round = 0; round < 10; ++round) {
      if (i == 0) {
        tests::query(path, "SELECT count(*) FROM v_jobs");
      } else {
        auto store = Store::open(path);  // puts WAL back: the switch races too
        tests::add_job(store);
      }
    }
    return 0;
  });
  EXPECT_EQ(sum(codes), 0);
  EXPECT_EQ(Store::open(path).all_jobs().size(), 30u);
}

TEST(Concurrency, AKilledWriterLeavesAValidDatabase) {
  const tests::TempDir dir;
  const auto path = dir / "sluice.db";
  Store::open(path);
  for (int round = 0; round < 8; ++round) {
    int told[2];
    ASSERT_EQ(::pipe(told), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = Store::open(path);
      for (;;) {
        const auto id = tests::add_job(store);
        store.begin_attempt(tests::attempt_of(id));
        store.append_event(id, JobState::submitting, tests::event_of(EventKind::failed));
        [[maybe_unused]] const auto written = ::write(told[1], "j", 1);
      }
    }
    ::close(told[1]);
    char byte = 0;
    int finished = 0;
    while (finished < 3 + round) finished += static_cast<int>(::read(told[0], &byte, 1));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(told[0], &byte, 1) == 1) ++finished;
    ::close(told[0]);

    EXPECT_EQ(tests::query(path, "PRAGMA integrity_check"), "ok");
    const auto store = Store::open(path);
    EXPECT_TRUE(tests::events_tell_every_state(store));
    const auto failed =
        std::stoi(tests::query(path, "SELECT count(*) FROM jobs WHERE state = 'failed'"));
    EXPECT_GE(failed, finished);
    tests::execute(path, "DELETE FROM events; DELETE FROM attempts; DELETE FROM jobs;");
  }
}

}  // namespace
}  // namespace sluice::db
