// What the supervisor of a local attempt publishes about it: the file Layout::local(attempt).
#pragma once

#include <optional>
#include <string>

#include "jobs/layout.h"
#include "scheduler/process.h"

namespace sluice::scheduler {

struct LocalRecord {
  enum class State { waiting, running, ended };

  State state = State::waiting;
  std::string host, boot_id;
  ProcessId supervisor;
  ProcessId script;     // pid 0: not started
  bool queued = false;  // waiting because another local job is running
  bool cancelled = false;
  bool interrupted = false;  // told to end by somebody else: a shutdown, a logout
  std::string error;         // why the supervisor could not run the script
  int exit_code = 0;         // 128 + signal when it was killed by one
  double submitted_unix_s = 0, started_unix_s = 0, ended_unix_s = 0;  // 0: not yet

  std::string cluster_id() const;  // "local-<pid>-<start ticks>", of the supervisor
};

std::string to_json(const LocalRecord& record);
LocalRecord parse_local_record(const std::string& json);  // throws scheduler::Error
std::optional<LocalRecord> read_local_record(const jobs::Layout& layout, int attempt);

// The supervisor that a cluster_id() names.
std::optional<ProcessId> parse_supervisor(const std::string& cluster_id);

// The attempt's log with the cluster's id in place of Slurm's %j.
std::filesystem::path local_log(const jobs::Layout& layout, int attempt, const std::string& id);

}  // namespace sluice::scheduler
