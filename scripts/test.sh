#!/usr/bin/env bash
# All tests: installs what is missing, builds, runs. The unit tests run sanitized (ASan, UBSan); the
# mpi and slurm ones optimised, on real MPI ranks and a real Slurm of virtual nodes, as do those of
# the CUDA backend, on an emulated GPU, where there are CUDA's headers (sanitized: check-full.sh).
# Every label named in `required` must run: a test of theirs that is skipped fails the run.
set -euo pipefail
cd "$(dirname "$0")/.."

required='unit mpi slurm'

scripts/install-deps.sh test
SLUICE_TEST_MODEL=$(scripts/fetch-model.sh)
export SLUICE_TEST_MODEL
jobs=$(nproc)
# Where nvcc is, the CUDA backend's module too, for the oldest and the newest cards (the others:
# gpu-check.sh): the workers of the mpi and slurm tests then find it, and no driver.
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
cuda=()
if [ -n "$nvcc" ]; then
  cuda=(-DSLUICE_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES='75-real;120' -DCMAKE_CUDA_FLAGS=-Werror=all-warnings)
fi

build() { # PRESET TARGET...
  echo "== build $1"
  local log=build/$1.log
  mkdir -p build
  local options=()
  if [ "$1" = test ]; then options=("${cuda[@]}"); fi
  { cmake --preset "$1" "${options[@]}" && cmake --build --preset "$1" -j "$jobs" --target "${@:2}"; } >"$log" 2>&1 || {
    grep -E 'error|Error' -A5 "$log" | head -n 60 >&2
    tail -n 20 "$log" >&2
    exit 1
  }
}

reports=()
failed=0
run() { # PRESET LABEL JOBS
  echo "== test: $2 ($1)"
  local report=$PWD/build/$1/report-$2.xml
  rm -f "$report"
  ctest --test-dir "build/$1" -L "^$2\$" -j "$3" --output-on-failure --no-tests=error \
    --output-junit "$report" >"build/$1/$2.log" 2>&1 || {
    grep -vE '^ *[0-9]+/[0-9]+ Test.*Passed|^ +Start +[0-9]+:' "build/$1/$2.log" | tail -n 150
    failed=1
  }
  tail -n 4 "build/$1/$2.log" | grep -E 'tests passed|Total Test time' || true
  reports+=("$2=$report")
}

build dev all
run dev unit "$jobs"
build test sluice sluice-worker worker_job_test cuda_tests cuda_worker_tests ${nvcc:+sluice_cuda}
run test cuda "$jobs"
run test mpi 1
run test slurm 1

# The closing line counts every test once; a skip among the required labels is a failure.
python3 scripts/count-tests.py "$required" "${reports[@]}" || failed=1
exit $failed
