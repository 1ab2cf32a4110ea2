#!/usr/bin/env bash
# How much faster are two one-core ranks than one, and than two that share nothing but the machine?
# Through the job directory and mpirun, as a job does it; the three take turns. Medians of the rounds,
# and the least: whoever shares the machine only ever adds time. Then what the simulation of the
# schedule of the mixed prompts says (where the target simulate_pipeline is built): of each run of two
# ranks, from what its micro-batches took on each stage; and of 1 to 4 ranks, from the least times of
# single stages, measured on two cores at once, and scaled to what they took in those runs.
#   tests/bench/two-ranks.sh BUILD_DIR MODEL.gguf [BATCH_SIZE] [PRECISION] [PROMPTS] [ROUNDS] [TOKEN_BUDGET]
# PROMPTS: mixed (64 prompts of 10 to 200 tokens, answers of 16 to 96) or five (5 answers of 50).
set -euo pipefail
build=$1 model=$2 batch_size=${3:-8} precision=${4:-fast} prompts=${5:-mixed} rounds=${6:-3} budget=${7:-128}
worker=$build/worker/sluice-worker
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=()
if [ "$(id -u)" = 0 ]; then root=(--allow-run-as-root); fi

job() { # RANKS   prints a job directory
  local dir
  dir=$(mktemp -d "$work/job.XXXX")
  mkdir -p "$dir/results" "$dir/runs"
  python3 - "$dir" "$model" "$1" "$batch_size" "$precision" "$prompts" "$budget" <<'PYTHON'
import json, random, sys
folder, model, ranks, batch_size, precision, kind, budget = sys.argv[1:]
topics = "rain bread rivers clocks maps stone winter birds glass iron salt trains".split()
draw = random.Random(1)
lines = []
for i in range(5 if kind == "five" else 64):
    text = f"Write a few sentences about {topics[i % 12]} and {topics[(i * 5 + 3) % 12]}."
    if kind == "mixed":
        text += " Think of what you know of it, and of what you would like to know." * draw.randint(0, 12)
    lines.append({"id": str(i + 1), "prompt": text, "ignore_eos": True,
                  "max_tokens": 50 if kind == "five" else draw.randint(16, 96)})
with open(folder + "/prompts.jsonl", "w") as out:
    out.writelines(json.dumps(line) + "\n" for line in lines)
json.dump({"format_version": 1, "job": 1, "prompt_count": len(lines), "model": model,
           "max_tokens": 96, "batch_size": int(batch_size), "precision": precision, "token_budget": int(budget),
           "shape": {"nodes": int(ranks), "ranks_per_node": 1, "replicas": 1,
                     "stages": int(ranks)}}, open(folder + "/spec.json", "w"))
PYTHON
  echo "$dir"
}

run() { # DIR RANKS
  mpirun "${root[@]}" --oversubscribe --bind-to none -n "$2" "$worker" run --job-dir "$1" \
    --attempt 1 --restart 0 --cluster-id bench --script-start-unix-s "$EPOCHREALTIME" >&2
}

for ((round = 0; round < rounds; round++)); do
  one=$(job 1) two=$(job 2) left=$(job 1) right=$(job 1)
  run "$one" 1
  run "$two" 2
  run "$left" 1 &
  run "$right" 1
  wait $!
  echo "$one $two $left $right" >>"$work/rounds"
done
simulate=$build/tests/worker/simulate_pipeline
simulated=()
if [ "$prompts" = mixed ] && [ -x "$simulate" ]; then
  simulated=("$work/simulated-0.json" "$work/simulated-1.json")
  mapfile -t runs < <(awk '{print $2 "/runs/1.0"}' "$work/rounds")
  taskset -c 0 "$simulate" "$one" 4 "${runs[@]}" >"${simulated[0]}" &
  taskset -c 1 "$simulate" "$one" 4 "${runs[@]}" >"${simulated[1]}"
  wait $!
fi

python3 - "$work/rounds" "${simulated[@]}" <<'PYTHON'
import glob, json, statistics, sys

def metrics(folder):
    return json.load(open(folder + "/runs/1.0/metrics.json"))

rounds = [line.split() for line in open(sys.argv[1])]
walls = {"one": [], "two": [], "apart": []}
for one, two, left, right in rounds:
    walls["one"].append(metrics(one)["wall_clock_s"])
    walls["two"].append(metrics(two)["wall_clock_s"])
    walls["apart"].append(max(metrics(d)["wall_clock_s"] for d in (left, right)))
tokens = metrics(rounds[0][0])["output_tokens"]
for path in sorted(glob.glob(rounds[-1][1] + "/runs/1.0/stage-*.json")):
    s = json.load(open(path))
    print("  stage", s["stage"], "layers", s["first_layer"], "-", s["last_layer"],
          {k: round(s[k], 3) for k in ("prefill_s", "decode_s", "communication_s", "bubble_s",
                                       "output_s", "unattributed_s", "wall_clock_s", "load_s")})
for name, pick in ("median", statistics.median), ("least", min):
    one, two, apart = (pick(walls[key]) for key in ("one", "two", "apart"))
    print(f"{name} of {len(rounds)}: one rank {one:.2f} s ({tokens / one:.0f} tokens/s), two {two:.2f} s "
          f"({tokens / two:.0f}), {one / two:.2f} times, efficiency {one / two / 2:.3f}; of two that "
          f"share nothing ({2 * tokens / apart:.0f} tokens/s): {apart / two / 2:.3f}")
reports = [json.load(open(path)) for path in sys.argv[2:]]
if not reports:
    sys.exit()
# The test of the schedule: runs, simulated from what their own micro-batches took.
for run in reports[0]["runs"]:
    print(f"a run of {run['stages']} ranks took {run['wall_s']:.2f} s, its schedule simulated {run['simulated_s']:.2f} s "
          f"({run['simulated_s'] / run['wall_s'] - 1:+.1%}; {run['other_micro_batches']} of {run['micro_batches']} "
          "micro-batches had other rows, a stage each)")
print("in runs stages took, of their times alone: layers", *(f"{r['layers_ratio']:.3f}" for r in reports),
      "head", *(f"{r['head_ratio']:.3f}" for r in reports), "times")
first = 0
for same in zip(*(report["layouts"] for report in reports)):
    ranks, wall = same[0]["stages"], statistics.mean(layout["wall_s"] for layout in same)
    first = first or wall
    real = statistics.median(walls["two"])
    against = f" ({wall / real - 1:+.1%} of the real median)" if ranks == 2 else ""
    print(f"simulated, {ranks} ranks: {wall:.2f} s{against}, efficiency {first / wall / ranks:.3f}; "
          f"{same[0]['partition']}")
PYTHON
