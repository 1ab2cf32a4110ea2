#!/usr/bin/env python3
"""Adds up ctest's JUnit reports: count-tests.py 'REQUIRED LABELS' LABEL=REPORT.xml ...

Prints a line a label and one closing line; exits 1 when a test failed, when a required label has no
test, or when one of its tests was skipped."""
import sys
import xml.etree.ElementTree as xml

required = sys.argv[1].split()
total = dict(passed=0, failed=0, skipped=0)
bad = False
seen = set()
for argument in sys.argv[2:]:
    label, path = argument.split("=", 1)
    count = dict(passed=0, failed=0, skipped=0)
    try:
        cases = xml.parse(path).getroot().iter("testcase")
    except (OSError, xml.ParseError) as error:
        print(f"{label}: no report ({error})")
        bad = True
        continue
    for case in cases:
        status = case.get("status")
        if status == "run":
            count["passed"] += 1
        elif status in ("notrun", "disabled"):
            count["skipped"] += 1
            print(f"skipped: {case.get('name')}")
        else:
            count["failed"] += 1
            print(f"failed: {case.get('name')}")
    seen.add(label)
    print(f"{label}: " + ", ".join(f"{n} {what}" for what, n in count.items()))
    if label in required and (count["skipped"] or not count["passed"]):
        print(f"{label} must run whole: {count['skipped']} skipped, {count['passed']} passed")
        bad = True
    for what in total:
        total[what] += count[what]
for label in required:
    if label not in seen:
        print(f"{label} must run, and did not")
        bad = True
print(", ".join(f"{n} {what}" for what, n in total.items()))
sys.exit(1 if bad or total["failed"] else 0)
