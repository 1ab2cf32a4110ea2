#!/usr/bin/env python3
"""The house's rules on includes and calls (HACKING.md, "The house"), checked over the sources.

    include_rules.py ROOT          lists what breaks a rule; exit 1 when anything does
    include_rules.py --self-test   plants one break of each rule in a scratch tree and sees it caught
"""
import pathlib
import re
import sys
import tempfile

# folder -> folders it may include, beside itself
MAY_INCLUDE = {
    "jobs": set(),
    "kernels": set(),
    "db": {"jobs"},
    "slurm": {"jobs"},
    "worker": {"jobs", "kernels"},
    "scheduler": {"jobs", "db", "slurm"},
}

# Third-party headers and the only places they may stand in (prefixes of paths).
HOMES = [
    (r"zlib\.h|zstd(_errors)?\.h", ["jobs/io/plain_input.cpp"]),
    (r"hwy/.*|immintrin\.h", ["kernels/cpu/"]),
    (r"cuda.*|cublas.*", ["kernels/cuda/"]),
    (r"SQLiteCpp/.*|sqlite3\.h", ["db/*.cpp"]),
    (r"boost/(?!unordered/).*", ["slurm/command.cpp"]),
    (r"boost/unordered/.*", ["worker/text/"]),
    (r"mpi\.h", ["worker/pipeline/mpi_link.cpp"]),
    (r"pcre2\.h|utf8proc\.h", ["worker/text/"]),
    (r"toml\+\+/.*", ["scheduler/config.cpp"]),
    (r"CLI/.*", ["scheduler/cli/", "scheduler/main.cpp", "worker/options.cpp", "worker/main.cpp"]),
    (r"spdlog/.*", ["scheduler/main.cpp", "scheduler/cli/", "worker/main.cpp", "worker/log.cpp"]),
    (r"nlohmann/.*", ["jobs/*.cpp", "db/*.cpp", "worker/*.cpp", "scheduler/*.cpp"]),
]

GETENV_HOMES = ["worker/options.cpp", "scheduler/config.cpp"]
# Nobody prints below main, cli/ and the worker's log.
PRINT_HOMES = ["scheduler/main.cpp", "scheduler/cli/", "worker/main.cpp", "worker/log.cpp"]

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
PRINT = re.compile(r"\b(std::cout|std::cerr|printf\s*\(|std::puts)\b")


def at_home(path, homes):
    for home in homes:
        folder, star, ending = home.partition("*")  # "db/*.cpp", "kernels/cpu/"
        if path.startswith(folder) and path.endswith(ending if star else ""):
            return True
    return False


def strip_comment(line):
    return line.split("//", 1)[0]


def breaks(root):
    root = pathlib.Path(root)
    found = []
    for folder, allowed in MAY_INCLUDE.items():
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in (".h", ".cpp", ".cu", ".cuh"):
                continue
            path = file.relative_to(root).as_posix()
            for number, raw in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                where = f"{path}:{number}"
                include = INCLUDE.match(raw)
                if include:
                    kind, name = include.groups()
                    found += check_include(where, path, folder, allowed, kind, name)
                    continue
                line = strip_comment(raw)
                if re.search(r"\bgetenv\s*\(", line) and not at_home(path, GETENV_HOMES):
                    found.append(f"{where}: getenv belongs to {' and '.join(GETENV_HOMES)}")
                if PRINT.search(line) and not at_home(path, PRINT_HOMES):
                    found.append(f"{where}: nobody prints below main, cli/ and the worker's log")
    return found


def check_include(where, path, folder, allowed, kind, name):
    found = []
    top = name.split("/", 1)[0]
    if kind == '"':
        if ".." in name.split("/"):
            found.append(f"{where}: includes are written from the repository's root: {name}")
        elif top not in MAY_INCLUDE:
            found.append(f"{where}: no folder of the house: {name}")
        elif top != folder and top not in allowed:
            found.append(f"{where}: {folder}/ may not include {top}/ ({name})")
        elif top != folder and name.count("/") > 1:
            found.append(f"{where}: {name} is private to its folder")
    for pattern, homes in HOMES:
        if re.fullmatch(pattern, name) and not at_home(path, homes):
            found.append(f"{where}: <{name}> may only be included in {', '.join(homes)}")
    return found


def self_test():
    planted = {
        "jobs/a.h": '#include "db/store.h"',
        "kernels/a.h": '#include "worker/error.h"',
        "slurm/a.cpp": '#include "../jobs/spec.h"',
        "worker/a.cpp": "#include <mpi.h>",
        "worker/b.cpp": "#include <sqlite3.h>",
        "jobs/b.h": "#include <nlohmann/json.hpp>",
        "scheduler/a.cpp": '#include "worker/model/model.h"',
        "worker/c.cpp": '#include "kernels/cpu/simd.h"',
        "db/a.cpp": 'const char* home = getenv("HOME");',
        "jobs/c.cpp": 'void f() { std::cout << "x"; }',
    }
    fine = {
        "worker/pipeline/mpi_link.cpp": '#include <mpi.h>\n#include "kernels/backend.h"',
        "scheduler/tick.cpp": '#include "db/store.h"  // not worker/\n// std::cout in a comment',
        "kernels/cpu/simd.h": "#include <immintrin.h>",
        "scheduler/cli/show.cpp": "#include <CLI/CLI.hpp>\nvoid f() { std::cout << 1; }",
        "db/store.cpp": "#include <SQLiteCpp/SQLiteCpp.h>\n#include <nlohmann/json.hpp>",
    }
    with tempfile.TemporaryDirectory() as scratch:
        for path, text in {**planted, **fine}.items():
            file = pathlib.Path(scratch, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        caught = {line.split(":", 1)[0] for line in breaks(scratch)}
    missed = sorted(set(planted) - caught)
    wrong = sorted(caught - set(planted))
    for path in missed:
        print(f"not caught: {path}: {planted[path]}")
    for path in wrong:
        print(f"wrongly caught: {path}")
    print(f"{len(planted) - len(missed)} of {len(planted)} planted breaks caught")
    return 1 if missed or wrong else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    lines = breaks(sys.argv[1])
    print("\n".join(lines))
    sys.exit(1 if lines else 0)
