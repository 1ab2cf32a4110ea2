// The thread that touches the job directory while the pipeline runs, so that the leader never waits
// for a disk. First of all it makes answers durable in groups: where that fails, the run fails. It
// also keeps house: writes progress and looks for a request to cancel about once a second (what
// fails there is told once and tried again), and refuses to answer beside a newer run. Thread-safe
// where two threads meet.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "jobs/layout.h"
#include "jobs/results.h"

namespace sluice::worker {

struct WriterSetup {
  jobs::Layout layout;
  std::string job_uid = {};
  jobs::RunId run;
  int replica = 0;
  jobs::ResultLog::Sync sync = jobs::ResultLog::Sync::group;
  std::int64_t prompts_total = 0;
  // Durable, of earlier runs; on one replica, for the progress of all is summed.
  std::int64_t done_before = 0, failed_before = 0;
  std::function<void(const std::string&)> warn = {};  // called on the writer's thread
};

class ResultWriter {
 public:
  // Creates the run's result file. Throws jobs::Error.
  explicit ResultWriter(const WriterSetup& setup);
  ~ResultWriter();  // ends the thread; what was not finished is dropped
  ResultWriter(const ResultWriter&) = delete;
  ResultWriter& operator=(const ResultWriter&) = delete;

  // All throw what ended the thread: the disk is full, a newer run of this job has begun.
  void add(jobs::Result result);  // job, run and replica are filled in here
  void finish();                  // returns when all are durable and the last progress is written

  void count_output(int tokens) { output_tokens_ += tokens; }
  void note_computed(std::span<const float> seconds);  // in all, by stage
  bool cancel_requested() const { return cancel_requested_; }
  std::int64_t prompts_done() const { return done_; }      // durable: before, and here
  std::int64_t prompts_failed() const { return failed_; }  // of those

 private:
  using Lines = std::vector<std::string>;

  void work();
  bool take(Lines& lines, std::int64_t& failed);
  void refuse_if_stale() const;
  void keep_house();
  void write_progress();
  void rethrow_failure();

  const WriterSetup setup_;
  jobs::ResultLog log_;
  const double begun_s_;
  struct Moment {
    double at_s = 0;
    std::int64_t output_tokens = 0;
    std::vector<float> computed_s = {};
  };
  std::deque<Moment> recent_;  // for rates
  double looked_s_ = 0;
  bool warned_ = false;

  std::atomic<std::int64_t> output_tokens_ = 0, done_, failed_;
  std::atomic<bool> cancel_requested_ = false;

  std::mutex mutex_;  // of all below
  std::condition_variable wake_, ended_;
  Lines waiting_;
  std::int64_t waiting_failed_ = 0;
  std::vector<float> computed_s_;
  bool finishing_ = false, dropping_ = false, over_ = false;
  std::exception_ptr failure_;

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace sluice::worker
