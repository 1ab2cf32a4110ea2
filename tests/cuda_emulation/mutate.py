#!/usr/bin/env python3
"""How sure are the tests? Plants the bugs of mutants.py one by one in a copy of the sources, and says
which test of cuda_tests finds each first.

    mutate.py                          all; exits 1 where one is not found that ought to be
    mutate.py --only attention.cu      those of a file, or with these words in their name
    mutate.py --output table.md        the table there too, in Markdown

The tests that run the file's kernels are asked. What none of them sees and a sanitizer may see
(mutants.py) is built under it, and they are asked again. Works in build/mutation."""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

from mutants import all_mutants

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREE = ROOT / "build" / "mutation"
PRESET_OF = {"thread": "tsan", "address": "dev"}
TIMEOUT_S = 600  # all tests take a tenth
ENVIRONMENT = os.environ | {"CCACHE_BASEDIR": str(TREE), "CCACHE_NOHASHDIR": "1", "TSAN_OPTIONS": "halt_on_error=1"}
if shutil.which("ccache"):
    ENVIRONMENT.setdefault("CMAKE_CXX_COMPILER_LAUNCHER", "ccache")


def copy_sources():
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, listed):
        source, target = ROOT / name, TREE / name
        if not source.is_file() or (target.is_file() and source.read_bytes() == target.read_bytes()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def run(command, timeout_s=None):
    return subprocess.run(command, cwd=TREE, env=ENVIRONMENT, timeout=timeout_s, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def build(preset):
    """What the compiler said, where it refused."""
    if not (TREE / "build" / preset / "build.ninja").exists():
        run(["cmake", "--preset", preset]).check_returncode()
    done = run(["cmake", "--build", "--preset", preset, "--target", "cuda_tests"])
    return done.stdout if done.returncode else ""


def first_to_fail(preset, tests):
    """The test, and how: None where all pass."""
    program = f"build/{preset}/tests/cuda_emulation/cuda_tests"
    try:
        done = run([program, f"--gtest_filter={tests}", "--gtest_fail_fast"], TIMEOUT_S)
    except subprocess.TimeoutExpired as expired:
        return re.findall(r"^\[ RUN +\] (\S+)", expired.stdout.decode(errors="replace"), re.M)[-1] + ", which hangs"
    if done.returncode == 0:
        return None
    if failed := re.search(r"^\[  FAILED  \] ([^\s,]+)", done.stdout, re.M):
        return failed[1]
    test = re.findall(r"^\[ RUN +\] (\S+)", done.stdout, re.M)[-1]
    report = re.search(r"\w+Sanitizer: [\w-]+( race)?|runtime error: .*|(?<=^cuda emulation: )[^[\n]*", done.stdout, re.M)
    return f"{test}: {report[0].strip() if report else f'ends with {done.returncode}'}"


def first_to_find(mutant, tests):
    if (found := first_to_fail("test", tests)) or not mutant.under:
        return found
    preset = PRESET_OF[mutant.under]
    if refused := build(preset):
        sys.exit(refused)
    return first_to_fail(preset, tests)


def plant(mutant, tests):
    path = TREE / "kernels" / "cuda" / mutant.file
    correct = path.read_text()
    if correct.count(mutant.old) != 1:
        sys.exit(f"{mutant.file}: '{mutant.name}': its text is there {correct.count(mutant.old)} times")
    path.write_text(correct.replace(mutant.old, mutant.new))
    try:
        if refused := build("test"):
            sys.exit(f"{mutant.file}: '{mutant.name}' does not compile\n{refused}")
        return first_to_find(mutant, tests)
    finally:
        path.write_text(correct)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    copy_sources()
    chosen = [each for each in all_mutants() if arguments.only in f"{each[0].file}: {each[0].name}"]
    if (refused := build("test")) or (refused := first_to_fail("test", ":".join({tests for _, tests in chosen}))):
        sys.exit(f"without a mutant: {refused}")
    rows, caught, missed = ["| file | bug | found by |", "|---|---|---|"], 0, 0
    for mutant, tests in chosen:
        found = plant(mutant, tests)
        caught += found is not None
        missed += found is None and not mutant.survives
        how = f"`{found}`" if found else f"none: {mutant.survives}" if mutant.survives else "**none**"
        rows.append(f"| `{mutant.file}` | {mutant.name} | {how} |")
        print(rows[-1], flush=True)
    print(f"{caught} of {len(rows) - 2} found, {missed} missed")
    if arguments.output:
        arguments.output.write_text("\n".join(rows) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
