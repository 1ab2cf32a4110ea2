#include "slurm/launch.h"

#include <algorithm>
#include <initializer_list>
#include <sstream>

#include "slurm/command.h"
#include "slurm/error.h"
#include "slurm/sbatch_options.h"

namespace sluice::slurm {

namespace {

bool is_variable_name(const std::string& name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto letter_or_digit = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), letter_or_digit);
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::string program_of(const std::vector<std::string>& argv) {
  return argv.empty() ? "" : argv[0].substr(argv[0].find_last_of('/') + 1);
}

}  // namespace

bool on_slurm(const jobs::JobSpec& spec) { return spec.executor == "slurm"; }

std::string checked(const std::string& what, const std::string& value) {
  if (value.find('\0') != std::string::npos) {
    throw Error(what + ": a NUL byte cannot stand in a script");
  }
  return value;
}

std::string environment_lines(const jobs::JobSpec& spec) {
  std::string text;
  for (const auto& [name, value] : spec.cluster.env) {
    if (!is_variable_name(name)) throw Error("env: '" + name + "' is no name of a variable");
    text += "export " + name + "=" + quote(checked("env " + name, value)) + "\n";
  }
  if (!spec.cluster.modules.empty()) {
    text += "type module >/dev/null 2>&1 || . /etc/profile.d/modules.sh || exit 1\n";
    text += "module load";
    for (const std::string& module : spec.cluster.modules) {
      text += " " + quote(checked("module", module));
    }
    text += " || exit 1\n";
  }
  for (const std::string& command : spec.cluster.pre_commands) {
    text += checked("pre-command", command) + "\n";
  }
  // The site's modules and the user's commands need not be clean of unset variables.
  return text.empty() ? text : "\nset +u\n" + text + "set -u\n";
}

bool is_srun(const std::vector<std::string>& argv) { return program_of(argv) == "srun"; }

std::vector<std::string> launcher_argv(const jobs::JobSpec& spec) {
  const std::string ranks = std::to_string(spec.shape.ranks());
  std::vector<std::string> argv = words_of(checked("launcher", spec.launcher));
  const std::string program = program_of(argv);
  const auto add = [&](std::initializer_list<std::string> words) {
    argv.insert(argv.end(), words.begin(), words.end());
  };
  if (program == "srun") {
    // -K: in 22.05 the other ranks hang when one is killed. -c: steps do not inherit it.
    argv.insert(argv.begin() + 1, "-K");
    add({"-n", ranks, "-c", std::to_string(cpus_per_task(spec)), "--export=ALL"});
  } else if (program == "mpirun" || program == "mpiexec") {
    add({"-n", ranks, "--bind-to", "none"});  // the worker pins its own threads
    if (on_slurm(spec)) {
      add({"--map-by", "ppr:" + std::to_string(spec.shape.ranks_per_node) + ":node"});
    } else {
      add({"--oversubscribe"});
    }
  } else {
    throw Error("launcher '" + spec.launcher + "': it must begin with srun or mpirun");
  }
  return argv;
}

std::string open_mpi_as_root(const std::vector<std::string>& argv) {
  if (is_srun(argv)) return "";
  return R"sh(
# Open MPI asks for this where root is the only user there is, as in containers.
if [ "$EUID" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
)sh";
}

}  // namespace sluice::slurm
