#include "slurm/script.h"

#include <algorithm>
#include <sstream>

#include "jobs/layout.h"
#include "slurm/command.h"
#include "slurm/error.h"
#include "slurm/sbatch_options.h"

namespace sluice::slurm {

namespace {

bool on_slurm(const jobs::JobSpec& spec) { return spec.executor == "slurm"; }

std::string checked(const std::string& what, const std::string& value) {
  if (value.find('\0') != std::string::npos) {
    throw Error(what + ": a NUL byte cannot stand in a script");
  }
  return value;
}

bool is_variable_name(const std::string& name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto letter_or_digit = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), letter_or_digit);
}

std::string header(const ScriptInput& input) {
  std::string text = "#!/bin/bash\n";
  if (on_slurm(input.spec)) {
    for (const std::string& option : sbatch_options(input)) {
      text += "#SBATCH " + directive(option) + "\n";
    }
  }
  return text;
}

// Variables of ours are called sluice_*: the user's own commands run between their lines.
// EPOCHREALTIME is bash 5's, and its decimal point the locale's.
std::string names(const ScriptInput& input) {
  const bool slurm = on_slurm(input.spec);
  std::string text = "\n# Sluice job " + std::to_string(input.spec.job) + ", attempt " +
                     std::to_string(input.attempt) + "\n";
  text += "sluice_start=${EPOCHREALTIME:-$(date +%s.%N)}\n";
  text += "sluice_start=${sluice_start/,/.}\n";
  text += "set -u\n";
  text += "sluice_dir=" + quote(checked("job directory", input.job_dir)) + "\n";
  text += "sluice_attempt=" + std::to_string(input.attempt) + "\n";
  text += std::string("sluice_restart=") + (slurm ? "${SLURM_RESTART_COUNT:-0}" : "0") + "\n";
  text += std::string("sluice_id=") + (slurm ? "$SLURM_JOB_ID" : "$SLUICE_CLUSTER_ID") + "\n";
  text += "sluice_claim=$sluice_dir/claims/$sluice_attempt-" +
          quote(checked("token", input.token)) + "\n";
  return text;
}

// Before anything that takes time or has an effect. A link appears whole or not at all, on NFS too,
// where the answer to a link that was made may be lost: hence the look at the inode.
constexpr const char* kClaim = R"sh(
# Only one job may ever run this attempt: the first to publish its claim, or that same job again
# after a requeue. Job ids are used again after a crash of slurmctld, restart counts only grow.
sluice_mine=$sluice_dir/claims/.$sluice_attempt.$sluice_id.$sluice_restart.$$
printf '%s %s\n' "$sluice_id" "$sluice_restart" >"$sluice_mine" || exit 1
sync "$sluice_mine" || exit 1
if ln "$sluice_mine" "$sluice_claim" 2>/dev/null || [ "$sluice_mine" -ef "$sluice_claim" ]; then
  rm -f "$sluice_mine"
else
  read -r sluice_holder sluice_held <"$sluice_claim" || exit 1
  if [ "$sluice_holder" != "$sluice_id" ] || [ "$sluice_restart" -le "$sluice_held" ]; then
    rm -f "$sluice_mine"
    echo "sluice: job $sluice_holder (restart $sluice_held) has this attempt;" \
      "job $sluice_id leaves it alone" >&2
    exit 0
  fi
  mv -f "$sluice_mine" "$sluice_claim" || exit 1
fi
mkdir -p "$sluice_dir/runs/$sluice_attempt.$sluice_restart" || exit 1
)sh";

// Slurm may start the script again, and the script may ask for it.
bool may_requeue(const jobs::JobSpec& spec) { return on_slurm(spec) && spec.cluster.requeue; }

// Both launchers pass USR1 on to the ranks, which then make durable what is finished and exit with
// 75. Slurm sends USR1 a while before the time limit, and TERM when the job is cancelled, over its
// time or preempted: then whether it starts again is not this script's choice.
std::string signals(const jobs::JobSpec& spec) {
  std::string text = R"sh(
sluice_launcher=
sluice_stopping=
sluice_stop() {
  sluice_stopping=1
  [ -z "$sluice_launcher" ] || kill -USR1 "$sluice_launcher" 2>/dev/null
}
)sh";
  if (!may_requeue(spec)) return text + "trap sluice_stop USR1 TERM\n";
  return text + R"sh(trap sluice_stop USR1
sluice_terminated=
trap 'sluice_terminated=1; sluice_stop' TERM
)sh";
}

std::string environment(const jobs::JobSpec& spec) {
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

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::string program_of(const std::vector<std::string>& argv) {
  return argv.empty() ? "" : argv[0].substr(argv[0].find_last_of('/') + 1);
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

std::string open_mpi_as_root() {
  return R"sh(
# Open MPI asks for this where root is the only user there is, as in containers.
if [ "$EUID" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
)sh";
}

// A trap ends `wait` early with a status above 128, which may be the launcher's own too. A signal
// that comes before the launcher's id is known is passed on after it.
std::string launch(const jobs::JobSpec& spec) {
  const std::vector<std::string> argv = launcher_argv(spec);
  std::string text = is_srun(argv) ? "" : open_mpi_as_root();
  text +=
      "\nsluice_status=75\nif [ -z \"$sluice_stopping\" ] && [ ! -e \"$sluice_dir/cancel\" ]; "
      "then\n  " +
      quote(argv) + " \\\n    " + quote(checked("worker", spec.worker));
  return text + R"sh( run \
    --job-dir "$sluice_dir" --attempt "$sluice_attempt" --restart "$sluice_restart" \
    --cluster-id "$sluice_id" --script-start-unix-s "$sluice_start" &
  sluice_launcher=$!
  [ -z "$sluice_stopping" ] || sluice_stop
  while
    wait "$sluice_launcher"
    sluice_status=$?
    [ "$sluice_status" -gt 128 ] && kill -0 "$sluice_launcher" 2>/dev/null
  do :; done
  # Told to stop before it could listen, the launcher died of the signal.
  [ -n "$sluice_stopping" ] && [ "$sluice_status" -gt 128 ] && sluice_status=75
fi
)sh";
}

// Slurm kills the script when it takes the order.
std::string finish(const ScriptInput& input) {
  if (!may_requeue(input.spec)) return "\nexit \"$sluice_status\"\n";
  return R"sh(
# 75: stopped early, wants to be resumed.
if [ "$sluice_status" = 75 ] && [ -z "$sluice_terminated" ] && [ ! -e "$sluice_dir/cancel" ] &&
  [ $((sluice_restart + 1)) -lt )sh" +
         std::to_string(input.spec.max_attempts - input.runs_before) + R"sh( ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$sluice_status"
)sh";
}

}  // namespace

std::string make_script(const ScriptInput& input) {
  return header(input) + names(input) + kClaim + signals(input.spec) + environment(input.spec) +
         launch(input.spec) + finish(input);
}

}  // namespace sluice::slurm
