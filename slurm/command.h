// Runs one program to its end: argv, no shell, a time-out, both outputs kept. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sluice::slurm {

struct CommandResult {
  int exit_code = -1;      // 128 + signal when it was killed by one
  bool timed_out = false;  // it was killed after timeout_s; it may have had its effect all the same
  bool not_found = false;  // there is no such program on PATH
  std::string out, err;    // the first kOutputBytesMax of each
};

struct CommandOptions {
  double timeout_s = 30;
  std::vector<std::string> env;  // "NAME=value", over this process's own
};

using RunCommand =
    std::function<CommandResult(const std::vector<std::string>& argv, const CommandOptions&)>;

CommandResult run_command(const std::vector<std::string>& argv, const CommandOptions& options);

// Starts argv in a session of its own (setsid): it outlives this process and its terminal. stdin is
// /dev/null, both outputs are appended to `log`. Returns its pid, which is its session's and process
// group's id too; throws Error when it cannot be started.
struct SpawnOptions {
  std::string log;
  std::vector<std::string> env;  // "NAME=value", over this process's own
};
std::int64_t spawn(const std::vector<std::string>& argv, const SpawnOptions& options);

// Waits for a child that spawn() of this very process started; its exit code, 128 + signal.
int wait_for(std::int64_t pid);

// For messages and --dry-run: argv as a POSIX shell would take it.
std::string quote(const std::string& word);
std::string quote(const std::vector<std::string>& argv);

}  // namespace sluice::slurm
