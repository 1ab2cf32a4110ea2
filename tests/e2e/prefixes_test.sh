#!/usr/bin/env bash
# Beginnings that prompts share, computed once: on local ranks, the same answers as without. Oracle:
# the same job without --prefix-sharing, one answer at a time.
#   SLUICE   the program under test
set -euo pipefail
: "${SLUICE:?the path of sluice}"

e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tiny=$e2e/../data/tiny/gemma3-f32 # with layers of a window, whose pages go round
# shellcheck source-path=SCRIPTDIR
. "$e2e/local.sh"
export SLUICE_MODEL=$tiny

# Two long beginnings, prompts that are drawn more than once, and some that share nothing.
python3 >prompts.jsonl <<'PYTHON'
import json
rules = " ".join(f"Rule {i}: answer line {i} in {i} words." for i in range(12))
other = " ".join(f"Part {i} of a story." for i in range(20))
for i in range(64):
    line = {"id": f"p{i}", "max_tokens": 4 + i % 9, "ignore_eos": True}
    if i % 4 == 0:
        line |= {"prompt": other + f" Go on from {i}."}
    elif i % 4 == 1:
        line |= {"prompt": f"Alone {i}."}
    elif i % 4 == 2:
        line |= {"prompt": rules + f" Line {i}:", "n": 3, "temperature": 1}
    else:
        line |= {"prompt": rules + f" Line {i}:"}
    print(json.dumps(line))
PYTHON
shared() { # the last job's tokens
  sluice export "$job" --what metrics --format csv | python3 -c '
import csv, sys
print(sum(int(row["shared_prompt_tokens"]) for row in csv.DictReader(sys.stdin)))'
}

answer alone prompts.jsonl --batch-size 1
[ "$(shared)" = 0 ] || fail "prefixes are shared unasked"
answer one_stage prompts.jsonl --prefix-sharing
same alone one_stage
one=$(shared)
answer two_stages prompts.jsonl --prefix-sharing --nodes 2 --batch-size 3 --token-budget 40
same alone two_stages
answer replicas prompts.jsonl --prefix-sharing --nodes 2 --replicas 2
same alone replicas
prompts=$(sluice show "$job" --format json | python3 -c '
import json, sys
print(json.load(sys.stdin)["runs"][0]["metrics"]["prompt_tokens"])')
echo "$one of $prompts prompt tokens shared"
[ $((one * 10)) -gt $((prompts * 6)) ] || fail "only $one of $prompts prompt tokens were shared"
