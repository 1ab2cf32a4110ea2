#include "scheduler/local_executor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "jobs/files.h"
#include "scheduler/job_spec.h"
#include "scheduler/local_record.h"
#include "scheduler/process.h"
#include "slurm/command.h"
#include "slurm/error.h"

namespace sluice::scheduler {
namespace {

constexpr const char* kLockName = ".local.lock";
constexpr double kSupervisorStartMax_s = 20;
constexpr auto kPollInterval = std::chrono::milliseconds(5);

slurm::JobStatus status_of(const LocalRecord& record, const db::Attempt& attempt) {
  slurm::JobStatus status;
  status.id = record.cluster_id();
  status.name = attempt.cluster_name;
  status.nodes = record.host;
  status.submit_unix_s = record.submitted_unix_s;
  status.start_unix_s = record.started_unix_s;
  status.end_unix_s = record.ended_unix_s;
  return status;
}

Sighting seen(slurm::JobStatus status, slurm::Phase phase, const char* state, std::string reason) {
  status.phase = phase;
  status.state = state;
  status.reason = std::move(reason);
  return {.kind = Sighting::Kind::seen, .status = std::move(status), .why = {}};
}

Sighting ended(const LocalRecord& record, slurm::JobStatus status) {
  using slurm::Phase;
  status.exit_code = std::to_string(record.exit_code) + ":0";
  if (record.cancelled) return seen(std::move(status), Phase::cancelled, "CANCELLED", {});
  if (!record.error.empty()) {
    return seen(std::move(status), Phase::failed, "FAILED", record.error);
  }
  if (record.interrupted) {
    return seen(std::move(status), Phase::failed, "NODE_FAIL", "ended by a shutdown or a logout");
  }
  if (record.exit_code == 0) return seen(std::move(status), Phase::succeeded, "COMPLETED", {});
  return seen(std::move(status), Phase::failed, "FAILED", {});
}

// An attempt whose record does not say that it ended, while its supervisor is not there.
Sighting orphaned(const LocalRecord& record, slurm::JobStatus status) {
  using slurm::Phase;
  if (record.boot_id != boot_id()) {
    return seen(std::move(status), Phase::failed, "NODE_FAIL", "the machine was restarted");
  }
  if (record.script.pid != 0 && lives(record.script)) {
    return seen(std::move(status), Phase::running, "RUNNING",
                "the supervisor is gone, the script goes on");
  }
  return seen(std::move(status), Phase::failed, "NODE_FAIL", "the supervisor is gone");
}

Sighting look(const Watch& watch) {
  using slurm::Phase;
  auto record = read_local_record(watch.layout, watch.attempt.attempt);
  if (!record) return {.kind = Sighting::Kind::absent, .status = {}, .why = {}};
  const bool supervised = record->boot_id == boot_id() && lives(record->supervisor);
  // The supervisor may have written its last word between our two looks.
  if (!supervised) record = read_local_record(watch.layout, watch.attempt.attempt);
  const auto status = status_of(*record, watch.attempt);
  if (record->state == LocalRecord::State::ended) return ended(*record, status);
  if (record->host != host_name() && record->boot_id != boot_id()) {
    return {.kind = Sighting::Kind::unknown,
            .status = {},
            .why = "it runs on " + record->host + "; ask there"};
  }
  if (!supervised) return orphaned(*record, status);
  if (record->state == LocalRecord::State::running) {
    return seen(status, Phase::running, "RUNNING", {});
  }
  return seen(status, Phase::pending, "PENDING",
              record->queued ? "another local job is running" : "");
}

// The supervisor of an attempt whose record cannot be read: the attempt's id names it. Nothing
// where only another machine can tell whether it lives.
std::optional<ProcessId> supervisor_by_id(const db::Attempt& attempt) {
  if (attempt.owner_host != host_name()) return std::nullopt;
  return parse_supervisor(attempt.cluster_id);
}

Sighting look_without_record(const Watch& watch, const std::string& why) {
  using slurm::Phase;
  const auto supervisor = supervisor_by_id(watch.attempt);
  if (!supervisor) return {.kind = Sighting::Kind::unknown, .status = {}, .why = why};
  slurm::JobStatus status;
  status.id = watch.attempt.cluster_id;
  status.name = watch.attempt.cluster_name;
  if (lives(*supervisor)) return seen(std::move(status), Phase::running, "RUNNING", why);
  return seen(std::move(status), Phase::failed, "NODE_FAIL", why);
}

// On a full disk a log cannot tell of it.
std::string where_to_look(const std::filesystem::path& log) {
  std::error_code unknown;
  const auto disk = std::filesystem::space(log.parent_path(), unknown);
  if (!unknown && disk.available == 0) return "the disk of " + log.string() + " is full";
  return "see " + log.string();
}

class LocalExecutor final : public Executor {
 public:
  explicit LocalExecutor(std::filesystem::path sluice) : sluice_(std::move(sluice)) {}

  std::optional<std::string> shortage(const jobs::JobSpec& spec) override {
    const std::int64_t cores = std::thread::hardware_concurrency();
    const std::int64_t wanted = std::int64_t{spec.shape.ranks()} * spec.threads;
    if (cores == 0 || wanted <= cores) return std::nullopt;
    return std::to_string(wanted) + " cores wanted; this machine has " + std::to_string(cores);
  }

  slurm::SubmitAnswer submit(const jobs::JobSpec& spec, const Watch& watch) override {
    using Kind = slurm::SubmitAnswer::Kind;
    const int attempt = watch.attempt.attempt;
    if (const auto record = read_local_record(watch.layout, attempt)) {
      return {.kind = Kind::accepted, .id = record->cluster_id(), .message = {}};
    }
    const std::string log =
        watch.layout.run_dir({.attempt = attempt, .restart = 0}) / "supervisor.log";
    std::int64_t pid = 0;
    try {
      pid = slurm::spawn(
          {sluice_, "supervise", "--job-dir", watch.layout.dir(), "--attempt",
           std::to_string(attempt), "--lock", watch.layout.dir().parent_path() / kLockName},
          {.log = log, .env = submit_environment(spec)});
    } catch (const slurm::Error& error) {
      return {.kind = Kind::refused, .id = {}, .message = error.what()};
    }
    return await_record(watch, pid, log);
  }

  std::vector<Sighting> observe(const std::vector<Watch>& watches) override {
    std::vector<Sighting> sightings;
    for (const Watch& watch : watches) {
      try {
        sightings.push_back(look(watch));
      } catch (const std::exception& error) {
        sightings.push_back(look_without_record(watch, error.what()));
      }
    }
    return sightings;
  }

  std::optional<std::string> cancel(const Watch& watch) override {
    std::optional<LocalRecord> record;
    try {
      record = read_local_record(watch.layout, watch.attempt.attempt);
    } catch (const std::exception& error) {
      return cancel_without_record(watch, error.what());
    }
    if (!record) return cancel_without_record(watch, "it has no record");
    if (record->state == LocalRecord::State::ended) return std::nullopt;
    if (record->boot_id != boot_id()) {
      if (record->host == host_name()) return std::nullopt;  // restarted: nothing is left of it
      return "it runs on " + record->host + "; cancel it there";
    }
    if (lives(record->supervisor)) {
      ::kill(static_cast<pid_t>(record->supervisor.pid), SIGTERM);
    } else if (record->script.pid != 0 && lives(record->script)) {
      ::kill(static_cast<pid_t>(record->script.pid), SIGTERM);
    }
    return std::nullopt;
  }

 private:
  static std::optional<std::string> cancel_without_record(const Watch& watch,
                                                          const std::string& why) {
    if (watch.attempt.cluster_id.empty()) return std::nullopt;  // it has not begun
    const auto supervisor = supervisor_by_id(watch.attempt);
    if (!supervisor) return why;
    if (lives(*supervisor)) ::kill(static_cast<pid_t>(supervisor->pid), SIGTERM);
    return std::nullopt;
  }

  // The supervisor's first act is its record; whoever published it first runs the attempt.
  static slurm::SubmitAnswer await_record(const Watch& watch, std::int64_t pid,
                                          const std::string& log) {
    using Kind = slurm::SubmitAnswer::Kind;
    const double until_s = jobs::steady_time_s() + kSupervisorStartMax_s;
    while (jobs::steady_time_s() < until_s) {
      const bool alive = find_process(pid).has_value();
      if (const auto record = read_local_record(watch.layout, watch.attempt.attempt)) {
        return {.kind = Kind::accepted, .id = record->cluster_id(), .message = {}};
      }
      if (!alive) {
        return {.kind = Kind::refused,
                .id = {},
                .message = "the supervisor ended before it began; " + where_to_look(log)};
      }
      std::this_thread::sleep_for(kPollInterval);
    }
    return {.kind = Kind::unknown, .id = {}, .message = "the supervisor has not answered yet"};
  }

  std::filesystem::path sluice_;
};

}  // namespace

std::unique_ptr<Executor> make_local_executor(std::filesystem::path sluice) {
  return std::make_unique<LocalExecutor>(std::move(sluice));
}

LocalPause::LocalPause(const std::filesystem::path& job_root)
    : lock_(::open((job_root / kLockName).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (lock_ >= 0) ::flock(lock_, LOCK_EX | LOCK_NB);
}

LocalPause::~LocalPause() {
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace sluice::scheduler
