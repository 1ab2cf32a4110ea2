#!/usr/bin/env bash
# Drawn tokens, from `sluice submit` to the answers, on local ranks: the same whatever the layout, and
# after a rank was killed. Oracle: one rank that computes one answer at a time.
#   SLUICE   the program under test
set -euo pipefail
: "${SLUICE:?the path of sluice}"

e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tiny=$e2e/../data/tiny/smollm-tied-f16
# shellcheck source-path=SCRIPTDIR
. "$e2e/local.sh"

# Drawn in several ways, some of them answered twice, some greedily as the job says.
python3 >prompts.jsonl <<'PYTHON'
import json
ways = [{}, {"temperature": 0}, {"temperature": 1.5, "n": 2}, {"top_k": 5, "seed": 3}, {"min_p": 0.2, "n": 3},
        {"repetition_penalty": 1.4, "presence_penalty": 0.5}, {"logit_bias": {"7": 9}, "frequency_penalty": 1},
        {"logprobs": 3, "top_p": 0.5}, {"stop": ["e", "the"]}]
for i in range(60):
    print(json.dumps({"id": f"p{i}", "prompt": f"Question {i}: how many threads", "max_tokens": 120,
                      "ignore_eos": True} | ways[i % len(ways)]))
PYTHON
drawn=(prompts.jsonl --temperature 0.9 --top-p 0.95 --seed 7)

answer alone "${drawn[@]}" --batch-size 1
answer two_stages "${drawn[@]}" --nodes 2 --head-split off
same alone two_stages
answer split_head "${drawn[@]}" --nodes 3 --head-split on
same alone split_head
answer replicas "${drawn[@]}" --nodes 2 --replicas 2 --batch-size 8
same alone replicas
answer other_seed "${drawn[@]}" --seed 8
if answers same alone other_seed >difference 2>&1; then fail "the seed changes nothing"; fi
python3 - <<'PYTHON'
import collections, json
lines = [json.loads(line) for line in open("alone")]
samples = collections.Counter(line["id"] for line in lines)
assert samples["p2"] == 2 and samples["p4"] == 3 and samples["p0"] == 1, samples
assert [line["index"] for line in lines] == list(range(len(lines)))
of_p2 = [line for line in lines if line["id"] == "p2"]
assert [line["sample"] for line in of_p2] == [0, 1] and of_p2[0]["token_ids"] != of_p2[1]["token_ids"]
for line in lines:
    number = int(line["id"][1:])
    assert (line["logprobs"] is not None) == (number % 9 == 7), line["id"]
    if number % 9 == 7:
        assert [each["id"] for each in line["logprobs"]] == line["token_ids"]
        assert all(len(each["top_logprobs"]) == 3 for each in line["logprobs"])
    if number % 9 == 8:
        assert "e" not in line["text"] and "the" not in line["text"], line["text"]
assert any(line["finish_reason"] == "stop" for line in lines)
PYTHON

# A rank is killed in the middle; what was not answered by then is answered the same.
job=$(sluice submit "${drawn[@]}" --nodes 2 --quiet)
dir=$(echo "$work"/jobs/"$job"-*)
until [ "$(answers durable "$dir")" -gt 0 ]; do sleep 0.02; done
pkill -KILL -of "sluice-worker run --job-dir $dir" || fail "it was done before a rank could be killed"
sluice wait "$job" --quiet && fail "the job completed without its rank"
sluice retry "$job" --quiet
sluice wait "$job" --quiet || fail "the retried job ended with $?"
sluice export "$job" -o after_kill
same alone after_kill
counts=$(answers once "$dir" "$(wc -l <alone)")
case $counts in
  1.0:*2.0:*) echo "results a run: $counts" ;;
  *) fail "the kill came too late to interrupt anything: $counts" ;;
esac

refused 'temperature` is -1' prompts.jsonl --temperature -1
refused 'temperature' prompts.jsonl --temperature nan
refused 'n = ' prompts.jsonl --n 0
echo '{"prompt": "a", "logit_bias": {"900": 1}, "max_tokens": 3}' >beyond.jsonl
job=$(sluice submit beyond.jsonl --quiet)
sluice wait "$job" --quiet && fail "a bias of no token was taken"
sluice export "$job" -o beyond && fail "an export with failed prompts ended with 0"
grep -q '"bad_token_id"' beyond || fail "no word of the token that there is not"
