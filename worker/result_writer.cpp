#include "worker/result_writer.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "jobs/files.h"
#include "jobs/metrics.h"
#include "worker/error.h"

namespace sluice::worker {
namespace {

constexpr double kLookEvery_s = 1;  // progress, request to cancel
constexpr double kRateOver_s = 5;   // tokens per second over the last few seconds

}  // namespace

ResultWriter::ResultWriter(const WriterSetup& setup)
    : setup_(setup),
      log_(setup.layout.results(setup.run, setup.replica), setup.sync),
      begun_s_(jobs::steady_time_s()),
      done_(setup.done_before),
      failed_(setup.failed_before),
      thread_([this] { work(); }) {}

ResultWriter::~ResultWriter() {
  const std::lock_guard lock(mutex_);
  dropping_ = true;
  wake_.notify_one();
}

void ResultWriter::add(jobs::Result result) {
  rethrow_failure();
  result.job = setup_.job_uid;
  result.run = setup_.run;
  result.replica = setup_.replica;
  std::string line = to_line(result);
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(line));
  waiting_failed_ += result.error ? 1 : 0;
  wake_.notify_one();
}

void ResultWriter::finish() {
  {
    std::unique_lock lock(mutex_);
    finishing_ = true;
    wake_.notify_one();
    ended_.wait(lock, [this] { return over_; });
  }
  rethrow_failure();
}

void ResultWriter::rethrow_failure() {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

void ResultWriter::work() {
  try {
    Lines lines;
    for (std::int64_t failed = 0; take(lines, failed);) {
      if (!lines.empty()) {
        refuse_if_stale();
        log_.commit(lines);
        done_ += static_cast<std::int64_t>(lines.size());
        failed_ += failed;
      }
      if (jobs::steady_time_s() - looked_s_ >= kLookEvery_s) keep_house();
    }
    keep_house();
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  over_ = true;
  ended_.notify_all();
}

void ResultWriter::note_computed(std::span<const float> seconds) {
  const std::lock_guard lock(mutex_);
  computed_s_.assign(seconds.begin(), seconds.end());
}

// Waits for lines or for the time to look around. False: the end.
bool ResultWriter::take(Lines& lines, std::int64_t& failed) {
  lines.clear();
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, std::chrono::duration<double>(kLookEvery_s),
                 [this] { return !waiting_.empty() || finishing_ || dropping_; });
  if (dropping_ || (finishing_ && waiting_.empty())) return false;
  lines.swap(waiting_);
  failed = std::exchange(waiting_failed_, 0);
  return true;
}

// A run that lives on after its node was given up must not answer beside its successor.
void ResultWriter::refuse_if_stale() const {
  for (const auto& entry : std::filesystem::directory_iterator(setup_.layout.runs_dir())) {
    const auto other = jobs::parse_run_id(entry.path().filename().string());
    if (other && *other > setup_.run) {
      throw Error("run " + to_string(setup_.run) + " of this job is stale: run " +
                  to_string(*other) + " has begun, and answers the rest");
    }
  }
}

// Nothing here is worth a run: a file server that stumbles is asked again a second later.
void ResultWriter::keep_house() {
  looked_s_ = jobs::steady_time_s();
  try {
    if (std::filesystem::exists(setup_.layout.cancel_request())) cancel_requested_ = true;
    write_progress();
  } catch (const std::exception& error) {
    if (setup_.warn && !warned_) {
      setup_.warn(std::string("progress and requests to cancel: ") + error.what() +
                  " (told once, tried again)");
    }
    warned_ = true;
  }
}

void ResultWriter::write_progress() {
  const double now_s = jobs::steady_time_s();
  {
    const std::lock_guard lock(mutex_);
    recent_.push_back({.at_s = now_s, .output_tokens = output_tokens_, .computed_s = computed_s_});
  }
  while (recent_.size() > 2 && now_s - recent_.front().at_s > kRateOver_s) recent_.pop_front();
  const Moment &then = recent_.front(), &now = recent_.back();
  jobs::Progress progress;
  progress.prompts_total = setup_.prompts_total;
  progress.prompts_done = done_;
  progress.prompts_failed = failed_;
  progress.output_tokens = output_tokens_;
  if (now_s > then.at_s) {
    progress.output_tokens_per_s =
        static_cast<double>(progress.output_tokens - then.output_tokens) / (now_s - then.at_s);
  }
  for (std::size_t i = 0; now_s > then.at_s && i < then.computed_s.size(); ++i) {
    const double share = (now.computed_s[i] - then.computed_s[i]) / (now_s - then.at_s);
    progress.stage_busy_percent.push_back(
        static_cast<int>(std::clamp(share, 0.0, 1.0) * 100 + 0.5));
  }
  progress.wall_clock_s = now_s - begun_s_;
  progress.updated_unix_s = jobs::unix_time_s();
  jobs::write_file_whole(setup_.layout.progress(setup_.run, setup_.replica), to_json(progress),
                         jobs::Sync::none);
}

}  // namespace sluice::worker
