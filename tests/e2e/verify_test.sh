#!/usr/bin/env bash
# Whether two jobs hold the same tokens, on local ranks. Oracle: two layouts of one job, which give the
# same bits; and answers of which a single token, or a single bit of a sum, was changed by hand.
#   SLUICE   the program under test
set -euo pipefail
: "${SLUICE:?the path of sluice}"

e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tiny=$e2e/../data/tiny/smollm-tied-f16
# shellcheck source-path=SCRIPTDIR
. "$e2e/local.sh"

verify() { # STATUS A B OPTIONS...; what it says is in `said`
  local status=0
  sluice verify "${@:2}" >said 2>&1 || status=$?
  [ $status = "$1" ] || fail "verify ${*:2} ended with $status, not $1: $(cat said)"
}
says() { grep -qF -- "$1" said || fail "no word of '$1': $(cat said)"; }

answers prompts 40 60 >plain.jsonl
sed 's/"max_tokens"/"n": 2, "temperature": 0.9, "logprobs": 2, "max_tokens"/' plain.jsonl >prompts.jsonl
answer alone prompts.jsonl --batch-size 1
alone=$job
answer apart prompts.jsonl --nodes 2 --head-split on --batch-size 8
apart=$job
verify 0 "$alone" "$apart"
says "job $alone and job $apart: 80 answers, 4,800 tokens: the same"
verify 0 "$apart" alone
raw=$(echo jobs/"$apart"-*/results/1.0-0.jsonl)
sort -r "$raw" >unordered
verify 0 "$alone" unordered
verify 0 "$raw" apart

python3 - <<'PYTHON'
import json
lines = [json.loads(line) for line in open("alone")]
def write(name, change):
    changed = json.loads(json.dumps(lines))
    change(changed)
    with open(name, "w") as out:
        out.writelines(json.dumps(line) + "\n" for line in changed)
def token(all): all[37]["token_ids"][11] += 1
def logprob(all): all[37]["logprobs"][5]["logprob"] *= 1 + 2**-52
write("token", token)
write("logprob", logprob)
write("fewer", lambda all: all.__delitem__(slice(70, 80)))
PYTHON
verify 1 "$apart" token
says 'prompt "p18", sample 1: token 11'
says "1 of 80 answers, 4,800 tokens, differs"
sluice verify "$apart" token --format json >said && fail "a changed token was not found"
python3 -c '
import json
found = json.load(open("said"))
first = found["first_difference"]
assert (first["id"], first["sample"], first["position"]) == ("p18", 1, 11), first
here = 11 - first["tokens_from"]
assert first["a"]["tokens"][here] + 1 == first["b"]["tokens"][here], first'
verify 1 "$apart" logprob
says 'prompt "p18", sample 1: logprob 5'
verify 1 "$apart" fewer
says '10 answers only in'
says 'the first is prompt "p35"'
verify 0 "$apart" fewer --partial

# What explains it is told.
answer other_seed prompts.jsonl --seed 8 --precision high
verify 1 "$alone" "$job"
says 'seed: 0 and 8'
says 'precision: exact and high'

verify 3 "$alone" 99
verify 2 "$alone" plain.jsonl

# Sums of texts that are scored.
echo '{"id": "t", "text": "A text of a few words, scored"}' >texts.jsonl
answer score texts.jsonl --task score
sed 's/"logprob_sum":-/&1/' score >other_sum
verify 0 "$job" score
verify 1 "$job" other_sum
says ': score'
