// Which process is which: a pid alone is reused, a pid with its start time and its machine's boot
// is not. Reads /proc; thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace sluice::scheduler {

struct ProcessId {
  std::int64_t pid = 0;
  std::int64_t start_ticks = 0;  // /proc/<pid>/stat field 22: clock ticks since boot
};

ProcessId this_process();
std::optional<ProcessId> find_process(std::int64_t pid);  // nullopt: none, or a zombie
bool lives(const ProcessId& process);

std::string host_name();
std::string boot_id();  // changes with every start of the machine
std::filesystem::path own_executable();

// Sends `signal` to every process of a session: also to those that made groups of their own, as
// mpirun's ranks do. How many were alive.
int signal_session(std::int64_t session, int signal);

// Whether a process of the session runs this program and has no child there.
bool has_childless(std::int64_t session, const std::filesystem::path& program);

}  // namespace sluice::scheduler
