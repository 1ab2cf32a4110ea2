#!/usr/bin/env python3
"""Did every kernel run? Each instantiation of each kernel's template that a test program holds is to
have been launched in a run of all its tests:

    cuda_tests --gtest_output=xml:report.xml && kernels_run.py cuda_tests report.xml

Exits 1 and names those that were not."""
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

KERNEL = re.compile(r"sluice::kernels::cuda::\(anonymous namespace\)::(\w+_kernel(<.*>)?)\(")


def kernels_of(program):
    """Of each kernel its distance from where the program begins."""
    symbols = subprocess.run(["nm", "--demangle", program], check=True, capture_output=True, text=True).stdout
    at, begin = {}, 0
    for line in symbols.splitlines():
        address, kind, name = line[:16], line[17:18], line[19:]
        if name == "__executable_start":
            begin = int(address, 16)
        elif kind in "tT" and (match := KERNEL.search(name)) and "[clone" not in name:
            at[int(address, 16)] = match[1].replace("sluice::kernels::", "").replace("cuda::", "")
    return {address - begin: name for address, name in at.items()}


def main(program, report):
    kernels = kernels_of(program)
    run = {int(at, 16) for at in ElementTree.parse(report).getroot().get("kernels_run", "").split()}
    missing = sorted(name for at, name in kernels.items() if at not in run)
    print(f"{len(kernels) - len(missing)} of {len(kernels)} kernels ran")
    for name in missing:
        print("  not run:", name)
    return 1 if missing or not kernels else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
