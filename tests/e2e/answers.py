#!/usr/bin/env python3
"""What the end-to-end cases ask of prompts and result lines.

    answers.py prompts COUNT TOKENS         COUNT prompts of TOKENS output tokens each, on stdout
    answers.py same A B                     two exports hold the same answers, line by line
    answers.py reference EXPORT CASES       an export holds the token ids of the reference cases
    answers.py once JOB_DIR COUNT           every prompt has one result, over all runs; prints the
                                            number of results of each run: "1.0:12 1.1:88"
    answers.py durable JOB_DIR              the number of whole result lines
    answers.py field NAME                   a member of the JSON object on stdin
"""
import json
import pathlib
import sys

SAME = ("id", "index", "sample", "status", "text", "token_ids", "finish_reason", "logprobs",
        "score")


def read_lines(path):
    """Whole lines only: a killed writer may leave a torn one behind."""
    data = pathlib.Path(path).read_bytes()
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def prompts(count, tokens):
    for i in range(int(count)):
        print(json.dumps({"id": f"p{i}", "prompt": f"Question {i}: how many threads",
                          "max_tokens": int(tokens), "ignore_eos": True}))


def same(a, b):
    first, second = ([[line.get(key) for key in SAME] for line in read_lines(f)] for f in (a, b))
    if not first or len(first) != len(second):
        sys.exit(f"{len(first)} answers in {a}, {len(second)} in {b}")
    for one, other in zip(first, second):
        if one != other:
            sys.exit(f"the answers differ:\n  {one}\n  {other}")


def reference(export, cases):
    expected = {case["id"]: case["output_token_ids"] for case in read_lines(cases)}
    answers = read_lines(export)
    for line in answers:
        if line["token_ids"] != expected[line["id"]]:
            sys.exit(f"{line['id']}: {line['token_ids']}, expected {expected[line['id']]}")
    if not answers:
        sys.exit(f"{export} holds no answer")
    print(f"{len(answers)} answers equal the reference")


def result_files(job_dir):
    return sorted(pathlib.Path(job_dir, "results").glob("*.jsonl"))


def once(job_dir, count):
    owner = {}
    per_run = {}
    for file in result_files(job_dir):
        run = file.name.rsplit("-", 1)[0]
        for line in read_lines(file):
            if line["index"] in owner:
                sys.exit(f"prompt {line['id']} is answered in {owner[line['index']]} and in {run}")
            owner[line["index"]] = run
            per_run[run] = per_run.get(run, 0) + 1
    missing = sorted(set(range(int(count))) - set(owner))
    if missing:
        sys.exit(f"{len(missing)} prompts are not answered, the first has index {missing[0]}")
    print(" ".join(f"{run}:{n}" for run, n in sorted(per_run.items())))


def durable(job_dir):
    print(sum(file.read_bytes().count(b"\n") for file in result_files(job_dir)))


def field(name):
    value = json.load(sys.stdin).get(name)
    print("" if value is None else value)


if __name__ == "__main__":
    commands = {f.__name__: f for f in (prompts, same, reference, once, durable, field)}
    commands[sys.argv[1]](*sys.argv[2:])
