# Sourced by the end-to-end cases. Each case has a folder, a database and a job root of its own; all
# share one sandbox (scripts/slurm-sandbox.sh), which ctest brings up before and takes down after.
#   SLUICE   the program under test       SBX_DIR   the sandbox
# Nothing here waits for a time to pass: it looks again until a condition holds, with a deadline.
# shellcheck shell=bash
set -euo pipefail
: "${SLUICE:?the path of sluice}" "${SBX_DIR:?the folder of the sandbox}"

e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$e2e/../.." && pwd)
tiny=$root/tests/data/tiny/smollm-tied-f16/model.gguf
export PATH=$SBX_DIR/bin:$PATH

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

sandbox() { "$root/scripts/slurm-sandbox.sh" "$@"; }
answers() { python3 "$e2e/answers.py" "$@"; }
sluice() { "$SLUICE" "$@"; }

begin_case() { # NAME
  work=$SBX_DIR/cases/$1
  rm -rf "$work"
  mkdir -p "$work"
  cd "$work"
  export SLUICE_DB=$work/sluice.db SLUICE_JOB_ROOT=$work/jobs XDG_CONFIG_HOME=$work
  export SLUICE_EXIT_GRACE=5  # the nodes share one local file system
  trap 'end_case $?' EXIT
}

# What a case leaves in the queue would hold the nodes of the next one.
end_case() { # STATUS
  [ "$1" = 0 ] || {
    sluice status --all >&2 || true
    tail -n 5 "$work"/jobs/*/runs/*/*.{log,out} >&2 2>/dev/null || true
  }
  scancel -u "$(id -un)" 2>/dev/null || true
  until_true 30 queue_is_empty || echo "jobs are left in the queue" >&2
}

queue_is_empty() { [ -z "$(squeue -h -o %A)" ]; }

until_true() { # SECONDS CMD...
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}

must() { # SECONDS CMD...
  until_true "$@" || fail "not within $1 s: ${*:2}"
}

# ---- jobs ----------------------------------------------------------------------------------------

submit() { # INPUT OPTIONS...   prints the job id
  sluice submit "$@" --model "${model:-$tiny}" --executor slurm --mem 1G --quiet
}

job_field() { # JOB NAME
  sluice status "$1" --format json | answers field "$2"
}

job_dir() { job_field "$1" directory; }
slurm_id() { job_field "$1" cluster_id; }
is() { [ "$(job_field "$1" state)" = "$2" ]; }  # JOB STATE
expect_state() {                                # JOB STATE
  is "$1" "$2" || fail "job $1 is $(job_field "$1" state) ($(job_field "$1" reason)), not $2"
}

durable() { answers durable "$1"; }         # JOB_DIR
has_durable() { [ "$(durable "$1")" -gt 0 ]; }  # JOB_DIR

completes() { # JOB [SECONDS]
  timeout "${2:-180}" "$SLUICE" wait "$1" || fail "job $1: sluice wait ended with $?"
  expect_state "$1" completed
}

# The answers of a job equal those of one rank without Slurm.
equals_local() { # JOB INPUT OPTIONS...
  local job=$1 input=$2 one
  shift 2
  one=$(sluice submit "$input" "$@" --model "${model:-$tiny}" --executor local --nodes 1 --quiet)
  sluice wait "$one"
  sluice export "$job" -o "$work/slurm.jsonl"
  sluice export "$one" -o "$work/local.jsonl"
  answers same "$work/slurm.jsonl" "$work/local.jsonl"
}

runs_of() { (cd "$1/runs" && echo *); }  # JOB_DIR

# Jobs of Slurm that were ever queued for a job of ours, by the token in their name.
copies_of() { # JOB_DIR
  local token
  token=$(basename "$1"/claims/*-????????????????)
  squeue -h -t all -o '%A %j' | grep -c -- "-${token#*-}\$"
}

# A program in place of sbatch; $real is the real one.
replace_sbatch() { # LINES
  mkdir -p "$work/bin"
  printf '#!/bin/bash\nPATH=%q\nreal=%q\n%s\n' "$PATH" "$SBX_DIR/bin/sbatch" "$1" \
    >"$work/bin/sbatch"
  chmod 755 "$work/bin/sbatch"
  PATH=$work/bin:$PATH
}
restore_sbatch() {
  rm "$work/bin/sbatch"  # the job remembers the PATH that it was submitted with
  PATH=${PATH#"$work/bin:"}
  hash -r
}
