#include "slurm/script.h"

#include "jobs/layout.h"
#include "slurm/command.h"
#include "slurm/launch.h"
#include "slurm/sbatch_options.h"

namespace sluice::slurm {

namespace {

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

// A trap ends `wait` early with a status above 128, which may be the launcher's own too. A signal
// that comes before the launcher's id is known is passed on after it.
std::string launch(const jobs::JobSpec& spec) {
  const std::vector<std::string> argv = launcher_argv(spec);
  std::string text = open_mpi_as_root(argv);
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
  return header(input) + names(input) + kClaim + signals(input.spec) +
         environment_lines(input.spec) + launch(input.spec) + finish(input);
}

}  // namespace sluice::slurm
