#!/usr/bin/env bash
# How well are jobs predicted before they run? Jobs of several prompt sets, batch sizes and layouts on
# local ranks, each predicted from the calibration of its model and, as they come, by the jobs before it;
# no two alike. Prints a table, and the median of the errors.
#   tests/bench/predictions.sh BUILD_DIR MODEL [PRECISION]
set -euo pipefail
sluice=$1/scheduler/sluice model=$2 precision=${3:-fast}
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
for prompts in questions documents stories mixed; do
  job $prompts --batch-size 8
  job $prompts --batch-size 8 -N 2
  job $prompts --batch-size 4 -N 2 --replicas 2
  job $prompts --batch-size 1 -N 2
  job $prompts --batch-size 16
done

python3 - "$SLUICE_DB" <<'PYTHON'
import sqlite3, statistics, sys
rows = sqlite3.connect(sys.argv[1]).execute(
    "select name, replicas, stages, batch_size, predicted_s, wall_clock_s, error, simulated_s, correction "
    "from v_predictions order by job").fetchall()
print("| prompts | replicas x stages | batch size | predicted (s) | measured (s) | error | correction |")
print("|---|---|---:|---:|---:|---:|---:|")
for name, replicas, stages, batch, predicted, wall, error, simulated, correction in rows:
    print(f"| {name} | {replicas} x {stages} | {batch} | {predicted:.2f} | {wall:.2f} | {error:+.1%} | {correction:.2f} |")
errors = [abs(row[6]) for row in rows]
plain = [abs(row[7] / row[5] - 1) for row in rows]
print(f"\nmedian error of {len(rows)}: {statistics.median(errors):.1%}; without correction {statistics.median(plain):.1%}; "
      f"largest {max(errors):.1%}")
PYTHON
