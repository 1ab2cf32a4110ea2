// Oracle: the lines that were written. Processes, not threads: that is how `sluice` commands meet.
#include "scheduler/ingest.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/scheduler/site.h"

namespace sluice::scheduler {
namespace {

constexpr int kPrompts = 6000;  // several batches
constexpr int kProcesses = 4;

void write_answers(const jobs::Layout& layout) {
  std::filesystem::create_directories(layout.results_dir());
  jobs::ResultLog log(layout.results({.attempt = 1, .restart = 0}, 0), jobs::ResultLog::Sync::none);
  std::vector<std::string> lines;
  for (int i = 0; i < kPrompts; ++i) {
    jobs::Result result;
    result.id = std::to_string(i);
    result.index = i;
    lines.push_back(jobs::to_line(result));
  }
  log.commit(lines);
}

// A job would be judged by what a process counts when it is back.
TEST(IngestResults, WhoeverIsBackHasSeenEveryAnswer) {
  const tests::TempDir dir;
  const jobs::Layout layout(dir / "job");
  write_answers(layout);
  jobs::JobSpec spec;
  spec.prompt_count = kPrompts;
  auto store = db::Store::open(dir / "sluice.db");
  const auto id = store.create_job(spec, [&](jobs::JobId) { return layout.dir(); });

  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    auto own = db::Store::open(dir / "sluice.db");
    ingest_results(own, id, layout);
    ::_exit(own.job(id)->prompts_ok == kPrompts ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "it was back with a part of the answers";
  }
  EXPECT_EQ(store.job(id)->prompts_ok, kPrompts);
}

TEST(RunsSinceAsked, CountsRequeuesOfEveryAttemptSinceTheLastRetry) {
  const tests::TempDir dir;
  const jobs::Layout layout(dir.path());
  std::vector<db::Event> events;
  const auto happens = [&](jobs::EventKind kind, int attempt) {
    events.emplace_back();
    events.back().kind = kind;
    events.back().attempt = attempt;
  };
  EXPECT_EQ(runs_since_asked(events, layout), 0);
  for (const jobs::RunId run : {jobs::RunId{1, 0}, {1, 1}, {2, 0}, {2, 1}, {2, 2}}) {
    std::filesystem::create_directories(layout.run_dir(run));
  }
  happens(jobs::EventKind::submit_intended, 1);
  EXPECT_EQ(runs_since_asked(events, layout), 2);
  happens(jobs::EventKind::retried, 1);
  happens(jobs::EventKind::submit_intended, 2);
  happens(jobs::EventKind::submit_intended, 3);
  EXPECT_EQ(runs_since_asked(events, layout), 3 + 1);
}

}  // namespace
}  // namespace sluice::scheduler
