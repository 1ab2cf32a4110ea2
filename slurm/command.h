// Runs one program to its end: argv, no shell, a time-out, both outputs kept. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sluice::slurm {

inline constexpr std::size_t kOutputBytesMax = 8 << 20;  // kept of each output

struct CommandResult {
  int exit_code = -1;      // 128 + signal when it was killed by one; 126 when it could not be run
  bool timed_out = false;  // it was killed after timeout_s; it may have had its effect all the same
  bool stopped = false;    // it was killed because should_stop said so
  bool not_found = false;  // there is no such program on PATH
  bool truncated = false;  // `out` had more than is kept: what is not there says nothing
  std::string out, err;    // the first kOutputBytesMax of each
};

struct CommandOptions {
  double timeout_s = 30;
  std::vector<std::string> env;  // over this process's own: "NAME=value"; "NAME" removes it
  std::function<bool()> should_stop = {};  // asked ten times a second
};

using RunCommand =
    std::function<CommandResult(const std::vector<std::string>& argv, const CommandOptions&)>;

// The program runs in a process group of its own, so that a Ctrl-C meant for us does not cut an
// sbatch in two, and the time-out kills its children too. stdin is /dev/null. Once the program has
// ended, a child of its that still holds an output open is not waited for.
CommandResult run_command(const std::vector<std::string>& argv, const CommandOptions& options);

// Starts argv in a session of its own (setsid): it outlives this process and its terminal. stdin is
// /dev/null, both outputs are appended to `log`. Returns its pid, which is its session's and
// process group's id too; throws Error when it cannot be started. Until wait_for() or the end of
// this process an ended child stays in /proc with state Z.
struct SpawnOptions {
  std::string log;
  std::vector<std::string> env;  // as above
};
std::int64_t spawn(const std::vector<std::string>& argv, const SpawnOptions& options);

// Waits for a child that spawn() of this very process started; its exit code, 128 + signal.
int wait_for(std::int64_t pid);

// For messages and --dry-run, and for every value in a script: as a POSIX shell would take it.
std::string quote(const std::string& word);
std::string quote(const std::vector<std::string>& argv);

}  // namespace sluice::slurm
