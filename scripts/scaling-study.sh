#!/usr/bin/env bash
# The studies of docs/scaling-report.md: strong scaling, weak scaling and batch sizes of a real model,
# as a real Slurm of two virtual nodes runs them, each node held to one core of this machine.
#   scripts/scaling-study.sh [OUT_DIR] [REPEATS] [SET...]
# OUT_DIR (build/scaling) gets report.md, .html, .json and the database; what is there is added to. Last
# comes the README's table.
# Sets: exact-5 fast-5 exact-64 fast-64 gemma (default: all; an hour and a half with 10 repeats).
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-build/scaling}") repeats=${2:-10}
sets=("${@:3}")
[ ${#sets[@]} -gt 0 ] || sets=(exact-5 fast-5 exact-64 fast-64 gemma)
: "${SLUICE:=$PWD/build/release/scheduler/sluice}"
[ -x "$SLUICE" ] || { echo "build first: cmake --workflow --preset release" >&2; exit 1; }
mkdir -p "$out"
smollm2=$(scripts/fetch-model.sh smollm2)

SBX_DIR=/var/tmp/sluice-scaling-$(id -u)
export SBX_DIR SBX_PIN=1 SBX_CPUS=1
scripts/slurm-sandbox.sh up 2
trap 'scripts/slurm-sandbox.sh down' EXIT
export PATH="$SBX_DIR/bin:$PATH"
export SLUICE_DB=$out/sluice.db SLUICE_JOB_ROOT=$out/jobs XDG_CONFIG_HOME=$out SLUICE_EXECUTOR=slurm

# Sentences of about ten tokens; the reference had as many prompts, and answers of 50 tokens.
topics=(rain bread rivers clocks maps stone winter birds glass iron salt trains)
for i in $(seq 0 127); do
  echo "{\"prompt\": \"Write a few sentences about ${topics[i % 12]} and ${topics[(i * 5 + 3) % 12]}.\"}"
done >"$out/prompts.jsonl"

study() { # NAME KIND OPTIONS...
  local status=0
  echo "== $1"
  "$SLUICE" study "$2" "$out/prompts.jsonl" --name "$1" --repeats "$repeats" \
    --max-tokens 50 --ignore-eos --wait "${@:3}" || status=$?
  [ $status = 0 ] || echo "$1 ended with $status" >&2
}
for set in "${sets[@]}"; do
  precision=${set%-*} count=${set#*-}
  if [ "$set" = gemma ]; then
    gemma=$(scripts/fetch-model.sh gemma3)
    for split in on off; do
      study "gemma-head-split-$split" strong --model "$gemma" --nodes 1,2 --limit 64 --batch-size 8 --head-split $split
    done
    continue
  fi
  common=(--model "$smollm2" --nodes "1,2" --precision "$precision")
  # Virtual nodes share caches and memory: what the machine takes of ranks that share nothing else.
  study "$set-strong" strong "${common[@]}" --batch-size 1 --limit "$count" --independent
  study "$set-weak" weak "${common[@]}" --batch-size 1 --prompts-per-node "$count" --independent
  [ "$count" = 64 ] || study "$set-batch" batch "${common[@]}" --batch-size 1,2,4 --limit 10
done

mapfile -t studies < <("$SLUICE" study list --format json | python3 -c '
import json, sys
for row in reversed(json.load(sys.stdin)): print(row["study"])')
for format in md html json; do "$SLUICE" report "${studies[@]}" -o "$out/report.$format"; done
scripts/scaling-summary.py "$out/report.json"
