#!/usr/bin/env python3
"""Checks an export in OpenAI's lines with the types of the `openai` package, strictly.

    openai_lines.py EXPORT        prints how many lines of each kind there are; exit 1 at the first bad one

Needs `pip install openai`, so it is no part of the tests that run everywhere.
"""
import collections
import json
import sys

from openai.types import Completion
from openai.types.chat import ChatCompletion

TYPES = {"chat.completion": ChatCompletion, "text_completion": Completion}
LINE = {"id": str, "custom_id": str, "response": dict, "error": (dict, type(None))}


def check(line):
    assert list(line) == list(LINE), f"keys {list(line)}"
    for key, kind in LINE.items():
        assert isinstance(line[key], kind), key
    response = line["response"]
    assert list(response) == ["status_code", "request_id", "body"], f"keys {list(response)}"
    if response["status_code"] != 200:
        assert set(line["error"]) == {"code", "message"}
        assert set(response["body"]) == {"error"}
        assert set(response["body"]["error"]) == {"message", "type", "param", "code"}
        return f"error {line['error']['code']}"
    assert line["error"] is None
    body = response["body"]
    # Both ways: what is there is as the type wants it, and the type knows all that is there.
    parsed = TYPES[body["object"]].model_validate_json(json.dumps(body), strict=True)
    assert not parsed.model_extra, parsed.model_extra
    assert parsed.model_dump(exclude_unset=True) == body
    return body["object"]


def main(path):
    kinds = collections.Counter()
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        try:
            kinds[check(json.loads(line))] += 1
        except Exception as error:
            sys.exit(f"{path}:{number}: {error}\n{line[:400]}")
    for kind, count in sorted(kinds.items()):
        print(f"{count:7} {kind}")


if __name__ == "__main__":
    main(sys.argv[1])
