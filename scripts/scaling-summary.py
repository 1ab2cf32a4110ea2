#!/usr/bin/env python3
"""The README's scaling figures, from the report of scripts/scaling-study.sh.

    scaling-summary.py REPORT.json     prints a table in Markdown
"""
import json
import sys

reports = {report["title"].split(" ", 1)[1]: report for report in json.load(open(sys.argv[1]))}


def points(study):
    return [p for p in reports.get(study, {"points": []})["points"] if p["role"] == ""]


def figure(study, key, where, form="{:.2f}"):
    found = [p[key] for p in points(study) if where(p) and p.get(key) is not None]
    return form.format(found[0]) if found else "-"


def two_nodes(p):
    return p["nodes"] == 2


def batch(size):
    return lambda p: p["nodes"] == 1 and p["batch_size"] == size


def row(name, exact, exact_apart, fast, fast_apart, reference):
    print(f"| {name} | {exact} | {exact_apart} | {fast} | {fast_apart} | {reference} |")


def without_ranks_apart(name, exact, fast, reference):
    row(name, exact, "-", fast, "-", reference)


runs = {p["runs"] for name in reports for p in points(name)}
counts = str(max(runs)) if len(runs) == 1 else f"{min(runs)} to {max(runs)}"
print(f"| two nodes of one core, SmolLM2, answers of 50 tokens; medians of {counts} runs | `exact` | ... of ranks apart "
      "| `fast` | ... of ranks apart | reference |")
print("|---|---:|---:|---:|---:|---:|")
for kind, count, reference in (("strong", 5, "0.67"), ("weak", 5, "0.68"), ("strong", 64, "-"), ("weak", 64, "-")):
    name = f"{kind} scaling, {count} prompts" + (" a node" if kind == "weak" else "")
    row(name + ": parallel efficiency", *(figure(f"{precision}-{count}-{kind}", key, two_nodes)
        for precision in ("exact", "fast") for key in ("parallel_efficiency", "of_independent_ranks")), reference)
for size, reference in ((2, "0.79"), (4, "0.42")):
    without_ranks_apart(f"batch efficiency at {size}, 10 prompts, one node",
        *(figure(f"{precision}-5-batch", "batch_efficiency", batch(size)) for precision in ("exact", "fast")), reference)
without_ranks_apart("communication, share of the wall-clock (strong, 5)",
    *(figure(f"{precision}-5-strong", "communication_share", two_nodes, "{:.1%}") for precision in ("exact", "fast")), "15 %")
without_ranks_apart("preprocessing (s), 64 prompts",
    *(figure(f"{precision}-64-strong", "preprocess_s", two_nodes, "{:.3f}") for precision in ("exact", "fast")), "0.68")
