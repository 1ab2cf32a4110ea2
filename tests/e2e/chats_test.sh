#!/usr/bin/env bash
# Chats, packed inputs and standard input, from `sluice submit` to the answers, on local ranks. Oracle:
# the reference cases of a tiny model, and one way of saying the same against another.
#   SLUICE   the program under test
set -euo pipefail
: "${SLUICE:?the path of sluice}"

e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tiny=$e2e/../data/tiny/smollm-tied-f16
# shellcheck source-path=SCRIPTDIR
. "$e2e/local.sh"

# Chats as they are, and those of one turn as questions for --chat.
python3 - "$tiny/cases.jsonl" <<'PYTHON'
import json, sys
with open("chats.jsonl", "w") as chats, open("questions.jsonl", "w") as questions:
    for line in open(sys.argv[1], encoding="utf-8"):
        case = json.loads(line)
        messages = case.get("messages")
        if not messages:
            continue
        common = {"id": case["id"], "max_tokens": case["max_tokens"]}
        print(json.dumps(common | {"messages": messages}), file=chats)
        if len(messages) == 1:
            print(json.dumps(common | {"prompt": messages[0]["content"]}), file=questions)
PYTHON
[ -s questions.jsonl ] || fail "there is no chat of one turn"

answer chats chats.jsonl
answers reference chats "$tiny/cases.jsonl"
answer two_stages chats.jsonl --nodes 2
same chats two_stages
answer questions questions.jsonl --chat
answers reference questions "$tiny/cases.jsonl"

{ head -n 1 chats.jsonl | gzip; tail -n +2 chats.jsonl | gzip; } >chats.jsonl.gz
zstd -q chats.jsonl
for input in chats.jsonl.gz chats.jsonl.zst; do
  answer packed $input --nodes 2
  same chats packed
done
answer piped - <chats.jsonl
same chats piped
gunzip -c chats.jsonl.gz | worker generate -m "$SLUICE_MODEL" --precision exact -f - |
  sort >generated
answers reference generated "$tiny/cases.jsonl"

# A template that adds nothing makes a chat the text itself: this model begins none with BOS.
echo '{{ messages[0].content }}' >text.jinja
answer as_text questions.jsonl --raw
answer with_template questions.jsonl --chat --chat-template text.jinja
same as_text with_template
cmp text.jinja "$work"/jobs/"$job"-*/chat_template.jinja || fail "the job has no copy of it"

head -c -1 chats.jsonl.gz >cut.jsonl.gz
refused "cut.jsonl.gz: the gzip data is cut short at byte" cut.jsonl.gz
refused "raw was asked for" chats.jsonl --raw
refused "contradict each other" chats.jsonl --raw --chat
echo '{% include "x" %}' >bad.jinja
refused "bad.jinja, line 1" chats.jsonl --chat-template bad.jinja
head -c 10000000 /dev/zero >large.jinja
refused "large.jinja: has 10000000 bytes" chats.jsonl --chat-template large.jinja
[ "$(sluice status --all --quiet | wc -l)" = 8 ] || fail "something refused was queued"
