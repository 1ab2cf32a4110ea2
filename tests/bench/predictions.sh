#!/usr/bin/env bash
# How well are jobs predicted before they run? Jobs of several prompt sets, batch sizes and layouts on
# local ranks, each predicted from the calibration of its model and, as they come, by the jobs before it;
# no two alike. Then all of them again, in turns, for a machine's hour is noisier than a prediction: what
# was predicted before any of them is set against the median of the wall-clocks. Prints a table, the
# median of the errors, and how far each job's runs lie from their own median.
#   tests/bench/predictions.sh BUILD_DIR MODEL [PRECISION] [REPEATS]
set -euo pipefail
sluice=$1/scheduler/sluice model=$2 precision=${3:-fast} repeats=${4:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SLUICE_DB=$work/sluice.db SLUICE_JOB_ROOT=$work/jobs XDG_CONFIG_HOME=$work SLUICE_EXECUTOR=local

python3 - "$work" <<'PYTHON'
import json, random, sys
draw = random.Random(7)
topics = "rain bread rivers clocks maps stone winter birds glass iron salt trains".split()
def write(name, count, clauses, tokens):
    with open(f"{sys.argv[1]}/{name}.jsonl", "w") as out:
        for i in range(count):
            text = f"Write a few sentences about {topics[i % 12]}."
            text += " Think of what you know of it, and of what you would like to know." * draw.randint(*clauses)
            out.write(json.dumps({"prompt": text, "ignore_eos": True, "max_tokens": draw.randint(*tokens)}) + "\n")
write("questions", 40, (0, 1), (40, 60))    # short prompts, answers of one length
write("mixed", 48, (0, 12), (16, 96))       # as tests/bench/two-ranks.sh
write("documents", 24, (12, 30), (4, 16))   # long prompts, short answers
write("stories", 8, (0, 2), (120, 200))     # few and long
PYTHON

job() { # PROMPTS OPTIONS...
  "$sluice" submit "$work/$1.jsonl" --model "$model" --precision "$precision" --name "$1" --quiet "${@:2}" >"$work/job"
  "$sluice" wait "$(cat "$work/job")" --quiet
}
for ((repeat = 0; repeat < repeats; repeat++)); do
  for prompts in questions documents stories mixed; do
    job $prompts --batch-size 8
    job $prompts --batch-size 8 -N 2
    job $prompts --batch-size 4 -N 2 --replicas 2
    job $prompts --batch-size 1 -N 2
    job $prompts --batch-size 16
  done
done

python3 - "$SLUICE_DB" <<'PYTHON'
import sqlite3, statistics, sys
jobs = {}  # of each job its runs, the first of which was predicted from others alone
for row in sqlite3.connect(sys.argv[1]).execute(
    "select name, replicas, stages, batch_size, predicted_s, simulated_s, correction, wall_clock_s "
    "from v_predictions order by job"):
    jobs.setdefault(row[:4], []).append(row[4:])
print("| prompts | replicas x stages | batch size | predicted (s) | measured (s) | error | correction |")
print("|---|---|---:|---:|---:|---:|---:|")
errors, plain, spread = [], [], []
for (name, replicas, stages, batch), runs in jobs.items():
    predicted, simulated, correction, _ = runs[0]
    walls = [run[3] for run in runs]
    wall = statistics.median(walls)
    errors.append(predicted / wall - 1)
    plain.append(abs(simulated / wall - 1))
    spread += [abs(w / wall - 1) for w in walls]
    print(f"| {name} | {replicas} x {stages} | {batch} | {predicted:.2f} | {wall:.2f} | {errors[-1]:+.1%} | {correction:.2f} |")
errors = [abs(error) for error in errors]
print(f"\nmedian error of {len(errors)}: {statistics.median(errors):.1%}; without correction "
      f"{statistics.median(plain):.1%}; largest {max(errors):.1%}")
print(f"runs of one job from their median: {statistics.mean(spread):.1%} on average, {max(spread):.1%} at most")
PYTHON
