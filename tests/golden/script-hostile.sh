#!/bin/bash
#SBATCH "--mail-user=-n 'a' \"b\" $(id) `id` \\ # é"
#SBATCH --job-name=-n__a___b____id___id________-0123456789abcdef
#SBATCH --comment=sluice:0123456789abcdef
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH "--partition=-n 'a' \"b\" $(id) `id` \\ # é"
#SBATCH "--output=/home/u/a 'q' 100%%/runs/2.0/slurm-%j.out"
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@60
#SBATCH --requeue

# Sluice job 0, attempt 2
sluice_start=${EPOCHREALTIME:-$(date +%s.%N)}
sluice_start=${sluice_start/,/.}
set -u
sluice_dir='/home/u/a '\''q'\'' 100%'
sluice_attempt=2
sluice_restart=${SLURM_RESTART_COUNT:-0}
sluice_id=$SLURM_JOB_ID
sluice_claim=$sluice_dir/claims/$sluice_attempt-0123456789abcdef

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

sluice_launcher=
sluice_stopping=
sluice_stop() {
  sluice_stopping=1
  [ -z "$sluice_launcher" ] || kill -USR1 "$sluice_launcher" 2>/dev/null
}
trap sluice_stop USR1
sluice_terminated=
trap 'sluice_terminated=1; sluice_stop' TERM

set +u
export X='-n '\''a'\'' "b" $(id) `id` \ # é
next line'
type module >/dev/null 2>&1 || . /etc/profile.d/modules.sh || exit 1
module load '-n '\''a'\'' "b" $(id) `id` \ # é' || exit 1
set -u

sluice_status=75
if [ -z "$sluice_stopping" ] && [ ! -e "$sluice_dir/cancel" ]; then
  srun -K --mpi=pmix -n 2 -c 1 --export=ALL \
    '/opt/-n '\''a'\'' "b" $(id) `id` \ # é
next line' run \
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

# 75: stopped early, wants to be resumed.
if [ "$sluice_status" = 75 ] && [ -z "$sluice_terminated" ] && [ ! -e "$sluice_dir/cancel" ] &&
  [ $((sluice_restart + 1)) -lt 3 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$sluice_status"
