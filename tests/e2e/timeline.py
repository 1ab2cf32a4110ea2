#!/usr/bin/env python3
"""Checks an exported timeline (sluice export --what trace) against what the run itself measured.

    timeline.py TRACE.json RUN_DIR     says what it saw; exit 1 at the first thing that does not hold
"""
import bisect
import collections
import glob
import json
import sys

SUMS = ["prefill_s", "decode_s", "sampling_s", "communication_s", "bubble_s", "output_s", "unattributed_s"]
ROUNDING_US = 2e-3  # two ends of a span, in whole nanoseconds


def check_nesting(spans):
    """Spans of one rank: nested or apart, at most two deep, one at any moment of the window."""
    open_until = []
    for span in sorted(spans, key=lambda s: (s["ts"], -s["dur"])):
        end = span["ts"] + span["dur"]
        while open_until and open_until[-1] <= span["ts"] + ROUNDING_US:
            open_until.pop()
        assert not open_until or end <= open_until[-1] + ROUNDING_US, f"half within another: {span}"
        open_until.append(end)
        assert len(open_until) <= 2, f"too deep: {span}"
    moments = sorted((s for s in spans if s["cat"] not in ("work", "phase")), key=lambda s: s["ts"])
    for before, after in zip(moments, moments[1:]):
        gap = after["ts"] - before["ts"] - before["dur"]
        assert abs(gap) <= ROUNDING_US, f"{gap} us between {before} and {after}"


def sums_of(spans):
    share = {}
    for span in spans:
        if span["name"] == "micro_batch":
            tokens = span["args"]["prefill_tokens"], span["args"]["decode_tokens"]
            share[span["args"]["micro_batch"]] = tokens[0] / sum(tokens)
    sums = collections.Counter({name: 0 for name in SUMS})
    for span in spans:
        if span["cat"] == "compute":
            aside = span["args"].get("communication_us", 0)
            prefill = share[span["args"]["micro_batch"]]
            sums["communication_s"] += aside / 1e6
            sums["prefill_s"] += (span["dur"] - aside) * prefill / 1e6
            sums["decode_s"] += (span["dur"] - aside) * (1 - prefill) / 1e6
        elif span["cat"] not in ("work", "phase"):
            sums[span["cat"] + "_s"] += span["dur"] / 1e6
    return sums


def check_rank(rank, spans, stage, window):
    assert rank["host"] and rank["layers"], rank
    assert rank["clock_error_s"] == stage["clock_error_s"], rank
    check_nesting(spans)
    phases = [s["name"] for s in sorted(spans, key=lambda s: s["ts"]) if s["cat"] == "phase"]
    assert phases[0] == "launch" and "load" in phases and phases[-1] == "teardown", phases
    for span in spans:
        inside = span["ts"] >= window[0] - ROUNDING_US and span["ts"] + span["dur"] <= window[1] + ROUNDING_US
        assert inside == (span["cat"] != "phase"), f"{span} and the window {window}"
    works = [s["args"] for s in spans if s["name"] == "micro_batch"]
    first = works[0]["micro_batch"]
    assert [w["micro_batch"] for w in works] == list(range(first, stage["micro_batches"])), "each once, in order"
    assert (first > 0) <= (rank["overwritten"] > 0), "only what was overwritten is not there"
    if rank["overwritten"] > 0:
        return
    sums = sums_of(spans)
    for name in SUMS:
        error_s = abs(sums[name] - stage[name])
        assert error_s <= 1e-9 * (len(spans) + 10), f"rank {rank['rank']}: {name} {sums[name]} and {stage[name]}"
    for name in ("prefill_tokens", "decode_tokens"):
        assert sum(w[name] for w in works) == stage[name], name


def check_flows(flows, ranks, stages, spans):
    ends = collections.defaultdict(dict)
    for flow in flows:
        assert flow["ph"] not in ends[flow["id"]], f"twice: {flow}"
        ends[flow["id"]][flow["ph"]] = flow
    sends = collections.Counter()
    for both in ends.values():
        assert set(both) == {"s", "f"} and both["f"]["bp"] == "e", both
        begin, end = both["s"], both["f"]
        error_us = 1e6 * (ranks[begin["pid"]]["clock_error_s"] + ranks[end["pid"]]["clock_error_s"])
        assert end["ts"] >= begin["ts"] - error_us - ROUNDING_US, both
        assert ranks[begin["pid"]]["replica"] == ranks[end["pid"]]["replica"], both
        sends[begin["pid"], begin["name"]] += 1
    sending = collections.defaultdict(list)
    for span in sorted(spans, key=lambda s: s["ts"]):
        if span["name"] == "send":
            sending[span["pid"]].append((span["ts"], span["ts"] + span["dur"]))
    for both in ends.values():
        at = both["s"]["ts"]
        of_rank = sending[both["s"]["pid"]]
        begin, end = of_rank[bisect.bisect_right(of_rank, (at + ROUNDING_US,)) - 1]
        assert begin - ROUNDING_US <= at <= end + ROUNDING_US, f"no span sends it: {both}"
    for pid, rank in ranks.items():
        stage = stages[rank["rank"]]
        if any(r["overwritten"] > 0 for r in ranks.values()):
            continue
        last = max(other["stage"] for other in stages.values())
        wanted = 0 if stage["stage"] == last else stage["micro_batches"]
        assert sends[pid, "activations"] == wanted, f"rank {rank['rank']} sends {sends}"
    return sends


def main():
    trace = json.load(open(sys.argv[1]))
    stages = {s["rank"]: s for s in map(json.load, map(open, glob.glob(sys.argv[2] + "/stage-*.json")))}
    about, events = trace["otherData"], trace["traceEvents"]
    ranks = {rank["pid"]: rank for rank in about["ranks"]}
    assert sorted(rank["rank"] for rank in ranks.values()) == sorted(stages), "a process for each rank"
    names = {e["pid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "process_name"}
    window = about["window_opens_us"], about["window_opens_us"] + about["window_us"]
    spans = collections.defaultdict(list)
    for event in events:
        assert event["ph"] in "MXsf" and event["pid"] in ranks, event
        if event["ph"] == "X":
            assert event["ts"] >= 0 and event["dur"] >= 0, event
            spans[event["pid"]].append(event)
    for pid, rank in ranks.items():
        stage = stages[rank["rank"]]
        wanted = f"rank {rank['rank']}: replica {stage['replica']}, stage {stage['stage']}, layers "
        assert names[pid].startswith(wanted) and names[pid].endswith(stage["host"]), names[pid]
        check_rank(rank, spans[pid], stage, window)
    flows = [e for e in events if e["ph"] in "sf"]
    sends = check_flows(flows, ranks, stages, [s for of_rank in spans.values() for s in of_rank])
    kinds = collections.Counter(name for _, name in sends.elements())
    overwritten = sum(rank["overwritten"] for rank in ranks.values())
    print(f"{len(ranks)} ranks, {sum(map(len, spans.values()))} spans, {dict(kinds)}, {overwritten} overwritten")


main()
