#!/usr/bin/env bash
# Sluice's engine beside llama.cpp's: the same model, the same shapes, one core, in turns.
#   bench-vs-llama.sh [OPTIONS]       decode and prefill
#   bench-vs-llama.sh rpc [OPTIONS]   what two one-core processes gain over one: our ranks, and
#                                     llama.cpp's RPC backend
# Prints a Markdown table; options:
#   -m MODEL.gguf   default: SmolLM2-135M-Instruct, fetched
#   -w BUILD        Sluice's build folder (build/release)
#   -x PRECISION    of Sluice: fast, high or exact (fast)
#   -B 1,4,8,16,32  sequences side by side (rpc: 8,24)
#   -p 64 -n 32     decode: prompt tokens before it, and steps (rpc: 16 and 48)
#   -P 512          prefill: prompt tokens, one sequence
#   -r 3            rounds
#   -o FILE         the figures of every round, as JSON
# llama.cpp is what the Python package llama-cpp-python carries in its source distribution, built
# once for this machine into ~/.cache/sluice. Its peer of a column is the fastest of the same file
# and of what it makes of it: Q4_0, Q8_0, BF16.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

version=0.3.36
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
llama=${XDG_CACHE_HOME:-$HOME/.cache}/sluice/llama.cpp-$version
types=(Q4_0 Q8_0 BF16)

mode=one-core batches=1,4,8,16,32 prompt=64 steps=32
if [ "${1:-}" = rpc ]; then
  mode=rpc batches=8,24 prompt=16 steps=48
  shift
fi
model='' build=build/release precision=fast prefill=512 rounds=3 out=/dev/null
usage() { sed -n '2,18p' "$0"; }
while getopts hm:w:x:B:p:n:P:r:o: option; do
  case $option in
    m) model=$OPTARG ;;
    w) build=$OPTARG ;;
    x) precision=$OPTARG ;;
    B) batches=$OPTARG ;;
    p) prompt=$OPTARG ;;
    n) steps=$OPTARG ;;
    P) prefill=$OPTARG ;;
    r) rounds=$OPTARG ;;
    o) out=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

fail() { echo "bench-vs-llama: $*" >&2; exit 1; }
work=$(mktemp -d)
server=''
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

# -- llama.cpp, once --

fetch_llama() {  # a model to try it with
  local index archive=$llama/llama_cpp_python-$version.tar.gz
  [ ! -e "$llama/built" ] || return 0
  mkdir -p "$llama/source"
  index=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || echo https://pypi.org/simple)}
  # Not by pip: it would build the package to learn its name.
  [ -e "$archive" ] || python3 - "$index" "$archive" << 'PYTHON' ||
import html, os, re, sys, urllib.parse, urllib.request
index, target = sys.argv[1:]
with urllib.request.urlopen(index.rstrip("/") + "/llama-cpp-python/", timeout=60) as page:
    links = re.findall(r'href="([^"]*)"', page.read().decode())
    link = next(l for l in links if os.path.basename(target) in l)
    url = urllib.parse.urljoin(page.url, html.unescape(link))
print("fetching", os.path.basename(target), file=sys.stderr)
urllib.request.urlretrieve(url, target + ".part")
os.rename(target + ".part", target)
PYTHON
    fail "fetching llama-cpp-python failed; put its source distribution into $llama"
  echo "$sha256  $archive" | sha256sum --check --status || fail "$archive is not the expected file (sha256 differs)"
  tar -xzf "$archive" -C "$llama/source" --strip-components=3 "llama_cpp_python-$version/vendor/llama.cpp"
  echo "building llama.cpp, once" >&2
  build_llama ''
  # Some virtual machines announce AMX and fault on it.
  if ! "$llama/build/bin/llama-batched-bench" -m "$1" -t 1 -c 64 -npp 16 -ntg 1 -npl 1 >"$work/log" 2>&1; then
    echo "llama.cpp does not run here as built; building it without AMX" >&2
    build_llama '-mno-amx-tile -mno-amx-int8 -mno-amx-bf16'
  fi
  touch "$llama/built"
}

build_llama() {  # compiler's flags
  {
    nice -n 10 cmake -S "$llama/source" -B "$llama/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
      -DCMAKE_C_FLAGS="$1" -DCMAKE_CXX_FLAGS="$1" \
      -DGGML_RPC=ON -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF \
      -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF
    nice -n 10 cmake --build "$llama/build" -j 2 \
      --target llama-batched-bench llama-quantize ggml-rpc-server
  } >"$llama/build.log" 2>&1 || fail "llama.cpp does not build here: $llama/build.log"
}

quantised() {  # type -> a file of the model, made by llama.cpp
  local file
  file=$llama/models/$(basename "$model" .gguf)-$(stat -c %s "$model").$1.gguf
  if [ ! -e "$file" ]; then
    mkdir -p "$llama/models"
    "$llama/build/bin/llama-quantize" --allow-requantize "$model" "$file.part" "$1" >"$work/log" 2>&1 ||
      fail "llama-quantize to $1 failed: $(tail -n 3 "$work/log")"
    mv "$file.part" "$file"
  fi
  echo "$file"
}

# -- one run of each: a line of JSON for each number of sequences --

largest() { tr , '\n' <<<"$1" | sort -n | tail -n 1; }

llama_bench() {  # core file prompt steps sequences settings...
  local core=$1 file=$2 context
  context=$((($3 + $4) * $(largest "$5")))
  taskset -c "$core" "$llama/build/bin/llama-batched-bench" -m "$file" -t 1 -c $context \
    -npp "$3" -ntg "$4" -npl "$5" --output-format jsonl "${@:6}" 2>"$work/log" | grep '^{' ||
    fail "llama-batched-bench failed on $file: $(tail -n 3 "$work/log")"
}

sluice_bench() {  # core prompt steps sequences
  taskset -c "$1" "$build/worker/sluice-worker" bench -m "$model" --backend cpu --precision "$precision" \
    -p "$2" -n "$3" -B "$4" -r 1 -o jsonl
}

# Of $work/try.<settings>, what llama.cpp printed with them: the fastest settings by pp or tg.
fastest() {
  python3 - "$work" "$1" << 'PYTHON'
import glob, json, sys
work, kind = sys.argv[1:]
def speed(path):
    return max(json.loads(line)["speed_" + kind] for line in open(path))
print(max(glob.glob(work + "/try.*"), key=speed).split("/try.")[1])
PYTHON
  rm "$work"/try.*
}

# Of $work/round.<i>.<engine>.<pp or tg>, what an engine printed in a round: a table, and JSON to
# $out. $work/settings.<engine>.<pp or tg>: llama.cpp's.
summarise() {
  python3 - "$work" "$out" "$(basename "$model")" "$precision" "$1" << 'PYTHON'
import collections, glob, json, re, statistics, sys
work, out, model, precision, core = sys.argv[1:]
cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
result = {"model": model, "precision": precision, "core": core, "cpu": cpu[1] if cpu else None,
          "settings": {path.split("/settings.")[1]: open(path).read().strip()
                       for path in sorted(glob.glob(work + "/settings.*"))}, "columns": []}
rates = collections.defaultdict(lambda: collections.defaultdict(list))  # column, engine
for path in sorted(glob.glob(work + "/round.*.tg")) + sorted(glob.glob(work + "/round.*.pp")):
    engine, kind = path.split(".")[-2:]
    for row in map(json.loads, open(path)):
        rate, batch = (row["s_" + kind], row["b"]) if engine == "sluice" else (row["speed_" + kind], row["pl"])
        test = f"tg{row['tg']} after {row['pp']}" if kind == "tg" else f"pp{row['pp']}"
        rates[f"{test}, B={batch}"][engine].append(rate)

def ratio(ours, theirs):
    ratios = [a / b for a, b in zip(ours, theirs)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}

def text(r):
    return f"{r['median']:.2f} ({r['min']:.2f}..{r['max']:.2f})"

print(f"{model} on one core of {result['cpu']}; Sluice's precision: {precision}. "
      "Medians of tokens a second, and of ratios within a round (min..max).\n")
print("| test | Sluice | llama.cpp, same file | ratio | peer | llama.cpp, peer | ratio |")
print("|---|---:|---:|---:|---|---:|---:|")
for column, engines in rates.items():
    ours = engines.pop("sluice")
    peer = max(engines, key=lambda name: statistics.median(engines[name]))
    row = {"test": column, "sluice": ours, "llama": engines, "peer": peer,
           "ratio_same_file": ratio(ours, engines["same"]), "ratio_peer": ratio(ours, engines[peer])}
    result["columns"].append(row)
    same, best = (f"{statistics.median(engines[name]):.1f}" for name in ("same", peer))
    print(f"| {column} | {statistics.median(ours):.1f} | {same} | {text(row['ratio_same_file'])} "
          f"| {peer} | {best} | {text(row['ratio_peer'])} |")
with open(out, "w") as file:
    json.dump(result, file, indent=1)
PYTHON
}

compare_one_core() {
  local core=$1 type kind flash rows round middle
  declare -A file=([same]=$model)
  for type in "${types[@]}"; do file[$type]=$(quantised "$type"); done

  # How llama.cpp is fastest on each file: decode at a middling batch, prefill.
  middle=$(tr , '\n' <<<"$batches" | sort -n | awk '{ b[NR] = $1 } END { print b[int((NR + 1) / 2)] }')
  for type in same "${types[@]}"; do
    for flash in on off; do
      llama_bench "$core" "${file[$type]}" "$prompt" 8 "$middle,$middle" -fa $flash >"$work/try.-fa $flash"
    done
    fastest tg >"$work/settings.$type.tg"
    for flash in on off; do
      for rows in 128 512; do
        llama_bench "$core" "${file[$type]}" "$prefill" 1 1,1 -fa $flash -ub $rows >"$work/try.-fa $flash -ub $rows"
      done
    done
    fastest pp >"$work/settings.$type.pp"
    for kind in tg pp; do echo "llama.cpp, $type, $kind: $(<"$work/settings.$type.$kind")" >&2; done
  done

  local -a decode=("$prompt" "$steps" "$batches") settings
  for ((round = 1; round <= rounds; ++round)); do
    echo "round $round of $rounds" >&2
    sluice_bench "$core" "${decode[@]}" >"$work/round.$round.sluice.tg"
    sluice_bench "$core" "$prefill" 0 1 >"$work/round.$round.sluice.pp"
    for type in same "${types[@]}"; do
      read -ra settings <"$work/settings.$type.tg"
      llama_bench "$core" "${file[$type]}" "${decode[@]}" "${settings[@]}" >"$work/round.$round.$type.tg"
      read -ra settings <"$work/settings.$type.pp"
      llama_bench "$core" "${file[$type]}" "$prefill" 1 1 "${settings[@]}" >"$work/round.$round.$type.pp"
    done
  done
  summarise "$core"
}

# Client and server hold the layers that Sluice's two stages would.
compare_two_processes() {
  local one=$1 two=$2 port=$((20000 + $$ % 20000)) layers round
  layers=$("$build/worker/sluice-worker" inspect "$model" --stages 2 --format json | python3 -c '
import json, sys
first, last = json.load(sys.stdin)["split"][1]["layers"].split(" ")[0].split("-")
print(int(last) - int(first) + 2)  # and the head')
  taskset -c "$two" "$llama/build/bin/ggml-rpc-server" -t 1 -d CPU -p $port >"$work/server" 2>&1 &
  server=$!
  for _ in {1..100}; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    kill -0 $server 2>/dev/null || fail "ggml-rpc-server ended: $(tail -n 3 "$work/server")"
    sleep 0.1
  done
  for ((round = 1; round <= rounds; ++round)); do
    echo "round $round of $rounds" >&2
    llama_bench "$one" "$model" "$prompt" "$steps" "$batches" -fa on >"$work/one.$round"
    llama_bench "$one" "$model" "$prompt" "$steps" "$batches" -fa on --rpc 127.0.0.1:$port \
      -ngl "$layers" >"$work/two.$round"
    tests/bench/two-ranks.sh "$build" "$model" 2>"$work/log" >"$work/ours.$round" ||
      fail "two-ranks.sh failed: $(tail -n 3 "$work/log")"
  done
  python3 - "$work" "$out" << 'PYTHON'
import collections, glob, json, re, statistics, sys
work, out = sys.argv[1:]
gains = collections.defaultdict(list)
for path in sorted(glob.glob(work + "/ours.*")):
    gains["Sluice, two ranks"].append(float(re.search(r"([\d.]+) times", open(path).read())[1]))
    one, two = ([json.loads(line) for line in open(path.replace("ours", name))] for name in ("one", "two"))
    for a, b in zip(one, two):
        gains[f"llama.cpp, RPC, B={a['pl']}"].append(b["speed"] / a["speed"])
print("| | two one-core processes over one |\n|---|---:|")
for name, values in gains.items():
    print(f"| {name} | {statistics.median(values):.2f} ({min(values):.2f}..{max(values):.2f}) |")
with open(out, "w") as file:
    json.dump(gains, file, indent=1)
PYTHON
}

[ -x "$build/worker/sluice-worker" ] ||
  fail "no $build/worker/sluice-worker: build Sluice (cmake --workflow --preset release), or name its build folder with -w"
[ -n "$model" ] || model=$(scripts/fetch-model.sh)
fetch_llama "$model"
read -ra cores < <(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0), reverse=True)[:2])')
if [ $mode = rpc ]; then
  [ ${#cores[@]} = 2 ] || fail "rpc needs two cores"
  compare_two_processes "${cores[@]}"
else
  compare_one_core "${cores[0]}"
fi
