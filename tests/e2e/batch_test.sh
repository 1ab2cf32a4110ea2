#!/usr/bin/env bash
# A batch file of 1,000 requests, 20 of them bad, from `sluice submit` to OpenAI's lines, and its failed
# ones once more, on local ranks. Oracle: what was asked for, line by line, and the same asked for in our
# own lines.
#   SLUICE        the program under test
#   BATCH_MODEL   a model in place of the tiny one
set -euo pipefail
: "${SLUICE:?the path of sluice}"

e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tiny=$e2e/../data/tiny/smollm-tied-f16
# shellcheck source-path=SCRIPTDIR
. "$e2e/local.sh"
export SLUICE_MODEL=${BATCH_MODEL:-$SLUICE_MODEL}

# Every fiftieth is bad, each in its own way; of the others every third is a completion.
python3 - <<'PYTHON'
import json
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
def line(number, url, **body):
    return {"custom_id": f"r{number}", "method": "POST", "url": url, "body": {"model": "m"} | body}
messages = [{"role": "user", "content": "Hi"}]
BAD = [
    lambda n: line(n, CHAT, messages=messages, stream=True),
    lambda n: line(n, CHAT, messages=messages, response_format={"type": "json_object"}),
    lambda n: line(n, CHAT, messages=messages, tool_choice="required"),
    lambda n: line(n, CHAT, messages=messages, temperature=-1),
    lambda n: line(n, CHAT, messages=messages, top_logprobs=3),
    lambda n: line(n, CHAT, messages=messages, max_completion_tokens=0),
    lambda n: line(n, CHAT, messages=messages, logits_processors=["x"]),
    lambda n: line(n, CHAT, messages=messages, modalities=["text", "audio"]),
    lambda n: line(n, CHAT, messages=[]),
    lambda n: line(n, CHAT, messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
    lambda n: line(n, CHAT, messages=messages, model="another"),
    lambda n: line(n, TEXT, prompt=["a", "b"]),
    lambda n: line(n, TEXT, prompt="a", echo=True),
    lambda n: line(n, TEXT, prompt="a", suffix="b"),
    lambda n: line(n, TEXT, prompt="a", best_of=3),
    lambda n: line(n, "/v1/embeddings", input="a"),
    lambda n: line(n, TEXT, prompt=[10**9]),  # not seen before the worker looks
    lambda n: line(n, TEXT, prompt="a") | {"method": "GET"},
    lambda n: {"custom_id": f"r{n}", "method": "POST", "url": CHAT},
    lambda n: '{"custom_id": "r%d", "method": "POST"' % n,  # cut off: known by its line number
]
with open("requests.jsonl", "w") as requests, open("own.jsonl", "w") as own, open("kinds", "w") as kinds:
    for n in range(1, 1001):
        settings = {"seed": n} | ({"temperature": 0.8, "n": 2} if n % 7 == 0 else {})
        common = {"id": f"r{n}", "max_tokens": 4} | settings
        if n % 50 == 0:
            bad = BAD[n // 50 - 1](n)
            print(bad if isinstance(bad, str) else json.dumps(bad), file=requests)
            print("bad", f"line-{n}" if isinstance(bad, str) else f"r{n}", file=kinds)
        elif n % 3 == 0:
            more = {"logprobs": 2} if n % 9 == 0 else {}
            print(json.dumps(line(n, TEXT, prompt=f"Question {n}", max_tokens=4, **settings, **more)), file=requests)
            print(json.dumps(common | more | {"prompt": f"Question {n}"}), file=own)
            print("text", f"r{n}", file=kinds)
        else:
            asked = [{"role": "user", "content": f"Question {n}"}]
            more = {"logprobs": True, "top_logprobs": 2} if n % 5 == 0 else {}
            print(json.dumps(line(n, CHAT, messages=asked, max_completion_tokens=4, user="u", stream=False,
                                  **settings, **more)), file=requests)
            print(json.dumps(common | {"messages": asked} | ({"logprobs": 2} if more else {})), file=own)
            print("chat", f"r{n}", file=kinds)
PYTHON

batch=$(sluice submit requests.jsonl --nodes 2 --quiet)
dir=$(echo "$work"/jobs/"$batch"-*)
if sluice wait "$batch" --quiet; then fail "no request failed"; fi
export_openai() { # FILE   of a job with failed prompts
  local status=0
  sluice export "$batch" --format openai -o "$1" 2>/dev/null || status=$?
  [ $status = 4 ] || fail "an export with failed prompts ended with $status"
}
export_openai out.jsonl
sluice export "$batch" -o batch_results 2>/dev/null || true
answer own_results own.jsonl --nodes 2

python3 - <<'PYTHON'
import json
kinds = [line.split() for line in open("kinds")]
lines = [json.loads(line) for line in open("out.jsonl")]
assert [line["custom_id"] for line in lines] == [id for _, id in kinds], "each request once, in order"
for line, (kind, id) in zip(lines, kinds):
    body = line["response"]["body"]
    if kind == "bad":
        assert line["response"]["status_code"] == 400, line
        assert line["error"]["message"] == body["error"]["message"] and body["error"]["message"], line
        continue
    number = int(id[1:])
    assert line["response"]["status_code"] == 200 and line["error"] is None, line
    assert body["object"] == {"chat": "chat.completion", "text": "text_completion"}[kind], line
    assert body["model"] == "m" and len(body["choices"]) == (2 if number % 7 == 0 else 1), line
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"], line
    for choice in body["choices"]:
        wanted = number % 5 == 0 if kind == "chat" else number % 9 == 0
        assert (choice["logprobs"] is not None) == wanted, line
assert sum(kind == "bad" for kind, _ in kinds) == 20
errors = {line["custom_id"]: line["error"]["code"] for line in lines if line["error"]}
assert errors["r550"] == "model_not_found" and errors["r850"] == "bad_token_id", errors

# What was answered is what our own lines are answered.
keys = ("id", "sample", "text", "token_ids", "finish_reason", "logprobs")
asked = [[line[key] for key in keys] for line in map(json.loads, open("batch_results")) if line["status"] == "ok"]
own = [[line[key] for key in keys] for line in map(json.loads, open("own_results"))]
assert asked == own, "a request is answered as the same line of ours"
PYTHON

# What can only fail again fails again.
before=$(sha256sum <"$dir"/results/1.0-0.jsonl)
sluice retry "$batch" --failed-only --quiet
if sluice wait "$batch" --quiet; then fail "a bad request was answered"; fi
export_openai again.jsonl
cmp out.jsonl again.jsonl || fail "the errors are others now"
[ "$(wc -l <"$dir"/results/2.0-0.jsonl)" = 20 ] || fail "more than the failed ones were run again"
[ "$before" = "$(sha256sum <"$dir"/results/1.0-0.jsonl)" ] || fail "an old result was touched"

# Failures that can be cured: too long for the room that the job had. Killed on the way, then done.
python3 -c '
import json
for i in range(600):
    long = i % 2 == 0
    print(json.dumps({"id": f"p{i}", "token_ids": [5 + i] * (60 if long else 3), "max_tokens": 60, "ignore_eos": True}))
' >lengths.jsonl
job=$(sluice submit lengths.jsonl --nodes 2 --max-seq-len 60 --quiet)
dir=$(echo "$work"/jobs/"$job"-*)
sluice wait "$job" --quiet && fail "the long ones were answered"
[ "$(sluice status "$job" --format json | answers field prompts_failed)" = 300 ] || fail "300 are too long"
before=$(sha256sum <"$dir"/results/1.0-0.jsonl)
python3 - "$dir/spec.json" <<'PYTHON'
import json, sys
spec = json.load(open(sys.argv[1]))
spec["max_seq_len"] = 200  # as no user can
json.dump(spec, open(sys.argv[1], "w"))
PYTHON
sluice retry "$job" --failed-only --quiet
until [ "$(cat "$dir"/results/2.0-*.jsonl 2>/dev/null | wc -l)" -gt 0 ]; do sleep 0.02; done
pkill -KILL -of "sluice-worker run --job-dir $dir" || fail "it was done before a rank could be killed"
sluice wait "$job" --quiet && fail "the job completed without its rank"
sluice retry "$job" --quiet
sluice wait "$job" --quiet || fail "the retried job ended with $?"
sluice export "$job" -o lengths_out
[ "$before" = "$(sha256sum <"$dir"/results/1.0-0.jsonl)" ] || fail "an old result was touched"
python3 - "$dir" <<'PYTHON'
import glob, json, sys
lines = [json.loads(line) for line in open("lengths_out")]
assert [line["index"] for line in lines] == list(range(600)) and all(line["status"] == "ok" for line in lines)
runs = {}
for name in glob.glob(sys.argv[1] + "/results/*.jsonl"):
    for line in open(name, "rb").read().split(b"\n")[:-1]:
        result = json.loads(line)
        if result["status"] == "ok":
            assert runs.setdefault(result["index"], result["run"]) == result["run"], "answered twice"
assert set(runs) == set(range(600))
assert all(run == "1.0" for index, run in runs.items() if index % 2 == 1)
late = {run for index, run in runs.items() if index % 2 == 0}
assert late == {"2.0", "3.0"}, f"the kill came too late to interrupt anything: {late}"
PYTHON
