#!/usr/bin/env bash
# On a machine with a GPU: builds the CUDA backend for it, runs its tests there (a GPU that is missing
# fails them), under compute-sanitizer too where that is installed, then a real model on the CPU and on
# the GPU, and batch sizes; with two GPUs strong and weak scaling as well. All of it ends in one folder.
#   gpu-check.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-gpu-check}")
build=build/gpu
jobs=$(nproc)
mkdir -p "$out"

step() { echo "== $*"; }
fail() { echo "gpu-check.sh: $*" >&2; exit 1; }

command -v nvidia-smi >/dev/null || fail "there is no nvidia-smi: this wants a machine with a GPU and its driver"
nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total,uuid --format=csv | tee "$out/gpus.csv"
gpus=$(nvidia-smi --list-gpus | wc -l)
[ "$gpus" -gt 0 ] || fail "nvidia-smi lists no GPU"
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)

step "build for compute capability $capability"
{
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSLUICE_CUDA=ON \
    -DCMAKE_CUDA_ARCHITECTURES="$capability-real" &&
    cmake --build "$build" -j "$jobs" --target sluice sluice-worker sluice_cuda gpu_tests
} >"$out/build.log" 2>&1 || fail "the build failed: $out/build.log"

step "kernels and tiny models on the GPU"
failed=0
"$build/tests/cuda/gpu_tests" --gtest_output="xml:$out/gpu_tests.xml" >"$out/gpu_tests.log" 2>&1 || failed=1
tail -n 3 "$out/gpu_tests.log"
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    step "compute-sanitizer $tool"
    compute-sanitizer --tool "$tool" --error-exitcode 9 "$build/tests/cuda/gpu_tests" \
      --gtest_filter='-*Models*' >"$out/$tool.log" 2>&1 || failed=1
    tail -n 2 "$out/$tool.log"
  done
else
  echo "skipped: compute-sanitizer is not installed"
fi

export SLUICE_DB=$out/sluice.db SLUICE_JOB_ROOT=$out/jobs SLUICE_EXECUTOR=local
sluice=$build/scheduler/sluice
model=$(scripts/fetch-model.sh)
python3 -c 'for i in range(64): print(f"Write a few sentences about the number {i}.")' >"$out/prompts.txt"
answer() { # BACKEND PRECISION
  "$sluice" submit "$out/prompts.txt" --model "$model" --backend "$1" --precision "$2" --max-tokens 50 \
    --ignore-eos --name "$1-$2" --wait
}
step "a real model on the CPU and on the GPU"
answer cpu exact
answer cuda exact
answer cuda fast
"$sluice" verify 1 2 >"$out/cpu-and-gpu.txt" 2>&1 || true # their last bits differ, and some tokens
"$sluice" report 1 2 3 --format md | tee "$out/backends.md"

step "the engine alone"
"$build/worker/sluice-worker" bench -m "$model" --backend cuda -p 512 -n 128 -B 1,8,32 -o md | tee "$out/bench.md" ||
  failed=1

study() { # KIND OPTIONS...
  step "study: $1"
  "$sluice" study "$1" "$out/prompts.txt" --model "$model" --backend cuda --max-tokens 50 --ignore-eos \
    --repeats 3 --wait "${@:2}" >"$out/study-$1.txt" 2>&1 || failed=1
  tail -n 20 "$out/study-$1.txt"
}
study batch --batch-size 1,2,4,8,16,32
if [ "$gpus" -ge 2 ]; then
  study strong --nodes 1,2
  study weak --nodes 1,2 --prompts-per-node 32
else
  echo "skipped: strong and weak scaling want two GPUs"
fi

tar -C "$(dirname "$out")" -czf "$out.tar.gz" --exclude jobs "$(basename "$out")"
step "all of it: $out, $out.tar.gz"
exit $failed
