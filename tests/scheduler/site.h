// A place to run jobs in, gone afterwards: prompts, a model, a database, a job root, the real local
// executor and the fakes for what stands beyond the scheduler (tests/fakes/).
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "jobs/files.h"
#include "jobs/layout.h"
#include "scheduler/local_executor.h"
#include "scheduler/submission.h"
#include "scheduler/tick.h"
#include "tests/jobs/temp_dir.h"

namespace sluice::tests {

constexpr double kDeadline_s = 60;

// Looks again and again until it holds; false when the time is over.
inline bool eventually(const std::function<bool()>& holds) {
  const double until_s = jobs::steady_time_s() + kDeadline_s;
  while (jobs::steady_time_s() < until_s) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return holds();
}

inline std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

class LocalSite {
 public:
  LocalSite() {
    dir.write("model.gguf", "a model");
    prompts(3);
  }
  ~LocalSite() {
    for (const char* name : {"FAKE_HOLD", "FAKE_STOP_AFTER", "FAKE_DIE_AFTER", "FAKE_FAIL_BELOW"})
      ::unsetenv(name);
  }

  void prompts(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += "prompt " + std::to_string(i) + "\n";
    dir.write("prompts.txt", text);
  }

  scheduler::Settings settings(
      std::vector<std::pair<std::string, std::vector<std::string>>> more = {}) const {
    scheduler::Sources sources;
    sources.flags = {{"input", {dir / "prompts.txt"}},  {"model", {dir / "model.gguf"}},
                     {"db", {dir / "sluice.db"}},       {"job-root", {dir / "jobs"}},
                     {"executor", {"local"}},           {"worker", {SLUICE_FAKE_WORKER}},
                     {"launcher", {SLUICE_FAKE_MPIRUN}}};
    for (auto& flag : more) sources.flags.push_back(std::move(flag));
    return scheduler::resolve(sources);
  }

  // Queues a job, without a tick.
  jobs::JobId queue(std::vector<std::pair<std::string, std::vector<std::string>>> more = {}) {
    const auto with = settings(std::move(more));
    scheduler::Staging staging(dir / "jobs");
    scheduler::CheckOptions check;
    check.output = jobs::Layout(staging.dir()).prompts();
    auto submission = scheduler::check_submission(with, check);
    auto store = open();
    return scheduler::queue_submission(store, submission, staging, dir / "jobs");
  }

  db::Store open() const { return db::Store::open(dir / "sluice.db"); }

  // One tick through `executor`, with no grace for lost submissions.
  scheduler::Report tick(scheduler::Executor& executor) const {
    auto store = open();
    return scheduler::tick(
        {.store = store,
         .executor = [&](const std::string&) -> scheduler::Executor& { return executor; },
         .limits = {.submit_grace_s = 0}});
  }
  scheduler::Report tick() const { return tick(*scheduler::make_local_executor(SLUICE_PROGRAM)); }

  db::Job job(jobs::JobId id) const { return open().job(id).value(); }
  jobs::Layout layout(jobs::JobId id) const { return jobs::Layout(job(id).directory); }
  std::vector<std::string> starts(jobs::JobId id) const {
    return lines_of(layout(id).dir() / "starts.log");
  }

  bool ticks_until(jobs::JobId id, const std::function<bool(const db::Job&)>& holds) const {
    return eventually([&] {
      tick();
      return holds(job(id));
    });
  }
  bool ends(jobs::JobId id) const {
    return ticks_until(id, [](const db::Job& job) { return jobs::is_final(job.state); });
  }

  void hold() const { ::setenv("FAKE_HOLD", (dir / "go").c_str(), 1); }
  void release() const { dir.write("go", ""); }

  TempDir dir;
};

// The events of a job replay to the state in its row.
inline void expect_whole_life(const LocalSite& site, jobs::JobId id) {
  const auto events = site.open().events(id);
  EXPECT_EQ(jobs::replay({events.begin(), events.end()}), site.job(id).state);
}

inline long count_events(const LocalSite& site, jobs::JobId id, jobs::EventKind kind) {
  const auto events = site.open().events(id);
  return std::ranges::count(events, kind, &db::Event::kind);
}

}  // namespace sluice::tests
