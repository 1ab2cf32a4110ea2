#!/usr/bin/env bash
# Texts that are scored, from `sluice submit` to the sums, on local ranks. Oracle: `sluice-worker
# score`, one text after the other, to the last bit.
#   SLUICE   the program under test
set -euo pipefail
: "${SLUICE:?the path of sluice}"

e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tiny=$e2e/../data/tiny/smollm-tied-f16
# shellcheck source-path=SCRIPTDIR
. "$e2e/local.sh"

# Whole texts, contexts with continuations (few-shot ones, too), ids, chats; some of more than a window.
python3 >texts.jsonl <<'PYTHON'
import json
shots = "".join(f"Q: what is {a} + {b}? A: {a + b}. " for a in range(4) for b in range(5))
for i in range(120):
    kind = i % 6
    if kind == 0:
        line = {"text": f"Text {i} has words. " * (1 + i % 7)}
    elif kind == 1:
        line = {"context": f"The answer to question {i} is ", "continuation": f"number {i * 7}."}
    elif kind == 2:
        line = {"context": shots + f"Q: what is {i} + 1? A:", "continuation": f" {i + 1}."}
    elif kind == 3:
        line = {"token_ids": [(i * 31 + k * k) % 890 for k in range(2 + i)], "context_tokens": i // 3}
    elif kind == 4:
        line = {"text": f"A long text, part {i}: " * 60}
    else:
        line = {"prompt": f"A text of line {i} with every token told", "logprobs": 2}
    print(json.dumps({"id": f"t{i}"} | line))
PYTHON
worker score -m "$SLUICE_MODEL" -f texts.jsonl --precision exact -o want

sums_equal() { # EXPORT
  python3 - "$1" <<'PYTHON'
import json, sys
want = [json.loads(line) for line in open("want")]
have = [json.loads(line) for line in open(sys.argv[1])]
assert len(have) == len(want) == 120
for w, h in zip(want, have):
    assert (h["id"], h["status"], h["text"], h["token_ids"]) == (w["id"], "ok", "", []), h
    assert h["score"] == {key: w[key] for key in ("logprob_sum", "tokens_scored", "is_greedy")}, (w["id"], h["score"])
    assert h["timing"]["ttft_s"] is None and h["timing"]["latency_s"] > 0
    if h["logprobs"] is not None:
        assert [each["logprob"] for each in h["logprobs"]] == w["logprobs"], w["id"]
        assert all(len(each["top_logprobs"]) == 2 for each in h["logprobs"])
assert sum(h["logprobs"] is not None for h in have) == 20
assert any(each["token"] for h in have for each in h["logprobs"] or [])
PYTHON
}

answer alone texts.jsonl --task score --batch-size 1
sums_equal alone
answer three_stages texts.jsonl --task score --nodes 3 --head-split on
sums_equal three_stages
same alone three_stages
answer replicas texts.jsonl --task score --nodes 2 --replicas 2 --token-budget 50 --prefix-sharing
sums_equal replicas
sluice show "$job" >shown
grep -q 'perplexity' shown || fail "show has no word of the scores"
grep -q 'prefix sharing [1-9]' shown || fail "show has no word of shared prefixes"
tokens=$(sluice export "$job" --format csv | python3 -c '
import csv, sys
print(sum(int(row["tokens_scored"]) for row in csv.DictReader(sys.stdin)))')
sluice show "$job" --format json | python3 -c "
import json, sys
assert json.load(sys.stdin)['scores']['tokens_scored'] == $tokens" || fail "show and the scores differ"

# Windows of a few tokens that overlap: other sums, one way to have them.
windows=(texts.jsonl --task score --max-seq-len 40 --score-overlap 20)
answer windows "${windows[@]}"
answer windows_on_two "${windows[@]}" --nodes 2
same windows windows_on_two
if answers same alone windows >difference 2>&1; then fail "windows change nothing"; fi

sluice export "$job" --format openai 2>refusal && fail "scores were exported as answers"
grep -q 'scored texts' refusal || fail "no word of why: $(cat refusal)"

refused '--max-tokens' texts.jsonl --task score --max-tokens 3
refused 'score-overlap' texts.jsonl --task score --max-seq-len 40 --score-overlap 40
refused '--task score' texts.jsonl
echo '{"text": "a", "temperature": 1}' >generated.jsonl
refused 'a text that is scored is given' generated.jsonl --task score
echo '{"context": "a", "continuation": ""}' >nothing.jsonl
job=$(sluice submit nothing.jsonl --task score --quiet)
sluice wait "$job" --quiet && fail "an empty continuation was scored"
sluice export "$job" -o nothing && fail "an export with failed texts ended with 0"
grep -q '"nothing_to_score"' nothing || fail "no word of what is wrong with it"
