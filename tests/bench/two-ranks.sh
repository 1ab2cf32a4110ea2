#!/usr/bin/env bash
# How much faster are two one-core ranks than one? 24 prompts of 48 tokens, best of three runs
# each, through the job directory and mpirun as a job does it.
#   tests/bench/two-ranks.sh BUILD_DIR MODEL.gguf [BATCH_SIZE]
set -euo pipefail
build=$1 model=$2 batch_size=${3:-8}
worker=$build/worker/sluice-worker
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=()
if [ "$(id -u)" = 0 ]; then root=(--allow-run-as-root); fi

job() {  # ranks -> a job directory
  local dir
  dir=$(mktemp -d "$work/job.XXXX")
  mkdir -p "$dir/results" "$dir/runs"
  python3 - "$dir" "$model" "$1" "$batch_size" << 'PYTHON'
import json, sys
folder, model = sys.argv[1:3]
ranks, batch_size = map(int, sys.argv[3:])
topics = "rain bread rivers clocks maps stone winter birds glass iron salt trains".split()
with open(folder + "/prompts.jsonl", "w") as prompts:
    for i in range(24):
        text = f"Write a few sentences about {topics[i % 12]} and {topics[(i * 5 + 3) % 12]}."
        prompts.write(json.dumps({"id": str(i + 1), "prompt": text, "max_tokens": 48,
                                  "ignore_eos": True}) + "\n")
json.dump({"format_version": 1, "job": 1, "prompt_count": 24, "model": model, "max_tokens": 48,
           "batch_size": batch_size, "shape": {"nodes": ranks, "ranks_per_node": 1, "replicas": 1,
                                               "stages": ranks}},
          open(folder + "/spec.json", "w"))
PYTHON
  echo "$dir"
}

seconds() {  # ranks -> the window of one run
  local dir
  dir=$(job "$1")
  mpirun "${root[@]}" --oversubscribe --bind-to none -n "$1" "$worker" run --job-dir "$dir" \
    --attempt 1 --restart 0 --cluster-id bench --script-start-unix-s "$EPOCHREALTIME" >&2
  python3 - "$dir" << 'PYTHON'
import glob, json, sys
run = json.load(open(sys.argv[1] + "/runs/1.0/metrics.json"))
for path in sorted(glob.glob(sys.argv[1] + "/runs/1.0/stage-*.json")):
    s = json.load(open(path))
    print("  stage", s["stage"], {k: round(s[k], 3) for k in (
        "prefill_s", "decode_s", "communication_s", "bubble_s", "output_s", "unattributed_s",
        "wall_clock_s", "load_s")}, "cores", s["cores"], file=sys.stderr)
print(run["wall_clock_s"])
PYTHON
}

best() {  # ranks -> the shortest of three
  for _ in 1 2 3; do seconds "$1"; done | sort -g | head -1
}

one=$(best 1)
two=$(best 2)
python3 -c "print(f'one rank {$one:.2f} s ({24*48/$one:.1f} tokens/s), two ranks {$two:.2f} s \
({24*48/$two:.1f} tokens/s): {$one/$two:.2f} times')"
