#!/usr/bin/env bash
# Timelines of real jobs on local ranks, exported, against what the runs measured (timeline.py).
#   SLUICE           the program under test
#   TIMELINE_MODEL   a model in place of the tiny one
set -euo pipefail
: "${SLUICE:?the path of sluice}"

e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tiny=$e2e/../data/tiny/smollm-tied-f16
# shellcheck source-path=SCRIPTDIR
. "$e2e/local.sh"
export SLUICE_MODEL=${TIMELINE_MODEL:-$SLUICE_MODEL}

prompts() { # COUNT MAX_TOKENS
  python3 - "$@" <<'PYTHON'
import json, sys
for i in range(int(sys.argv[1])):
    print(json.dumps({"id": f"p{i}", "token_ids": list(range(5, 8 + i % 9)), "max_tokens": int(sys.argv[2]),
                      "ignore_eos": True}))
PYTHON
}
folder() { echo "$work/jobs/$job"-*; }
check() { # RUN
  sluice export "$job" --what trace --run "$1" -o "trace-$job.json" --quiet
  python3 "$e2e/timeline.py" "trace-$job.json" "$(folder)/runs/$1" || fail "run $1 of job $job"
}
no_export() { # STATUS WORDS OPTIONS...
  local status=0
  sluice export "$job" --what trace "${@:3}" >nothing 2>refusal || status=$?
  [ $status = "$1" ] || fail "export --what trace ${*:3} ended with $status, not $1"
  grep -qF -- "$2" refusal || fail "no word of '$2': $(cat refusal)"
  [ ! -s nothing ] || fail "a refused export wrote something"
}

prompts 24 12 >prompts.jsonl
answer greedy prompts.jsonl --nodes 2 --batch-size 4
check 1.0
sluice export "$job" --what trace >stdout.json
cmp stdout.json "trace-$job.json" || fail "the newest run is the only one"
answer drawn prompts.jsonl --nodes 3 --batch-size 2 --temperature 0.8
check 1.0
grep -q '"draws"' "trace-$job.json" || fail "no word of how tokens are drawn"
answer replicas prompts.jsonl --nodes 4 --replicas 2 --batch-size 2
check 1.0
answer one prompts.jsonl --nodes 1
check 1.0

# What there is not is said.
no_export 3 'has no run 9.0; it has 1.0' --run 9.0
no_export 2 'is no run' --run newest
no_export 2 "must be one of json" --format csv
rm "$(folder)"/runs/1.0/trace-0.jsonl
no_export 3 "run 1.0 of job $job left no timeline"
job=1
rm "$(folder)"/runs/1.0/trace-1.jsonl
sluice export 1 --what trace -o partial.json 2>warning
grep -q 'warning: rank 1 of run 1.0 of job 1 left no timeline' warning || fail "a missing rank is not told"
python3 -c 'import json; json.load(open("partial.json"))'
echo '["wait",0' >>"$(folder)"/runs/1.0/trace-0.jsonl
if sluice export 1 --what trace -o damaged.json 2>refusal; then fail "a damaged timeline is exported"; fi
grep -q 'trace-0.jsonl: trace, line [0-9]*: no valid JSON' refusal || fail "$(cat refusal)"
[ ! -e damaged.json ] || fail "a damaged timeline leaves half an export"

# A run that is stopped early has a timeline, too, and the rest of its job another.
prompts 300 100 >many.jsonl
job=$(sluice submit many.jsonl --nodes 2 --quiet)
no_export 3 'timeline'
until [ "$(cat "$(folder)"/results/1.0-*.jsonl 2>/dev/null | wc -l)" -gt 4 ]; do sleep 0.02; done
sluice cancel "$job" --quiet
sluice wait "$job" --quiet && fail "it was done before it could be cancelled"
check 1.0
sluice retry "$job" --quiet
sluice wait "$job" --quiet || fail "the retried job ended with $?"
check 2.0 | tee seen
grep -q ' 0 overwritten' seen && fail "the second run is long enough to overwrite its beginning"
check 1.0
