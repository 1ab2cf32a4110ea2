#!/usr/bin/env bash
# The long checks that scripts/test.sh leaves out:
#   check-full.sh            all of the below
#   check-full.sh tidy       clang-tidy over every source (findings are errors), shellcheck
#   check-full.sh tsan       ThreadSanitizer over the pipeline (stages as threads over local_link)
#   check-full.sh cuda       the CUDA kernels, emulated, under ASan and UBSan and under TSan, and bugs they are to find
#   check-full.sh mutants    bugs in the CUDA kernels, one by one: is each found?
#   check-full.sh models     two real models whole: tokens, answers, likelihoods, 20 random layouts
#   check-full.sh layouts    the tokens of 320 random layouts, against the plainest; all tiny models emulated
#   check-full.sh fuzz [S]   libFuzzer on the parsers of foreign bytes, S seconds each (default 300)
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)

tidy() {
  cmake --preset dev >/dev/null
  shellcheck -x -P SCRIPTDIR scripts/*.sh .ci/run tests/{bench,e2e,kernels}/*.sh
  mapfile -t sources < <(git ls-files 'jobs/*.cpp' 'kernels/*.cpp' 'db/*.cpp' 'slurm/*.cpp' \
    'worker/*.cpp' 'scheduler/*.cpp')
  echo "clang-tidy: ${#sources[@]} files"
  # The build's warnings are GCC's; clang does not know all of them.
  printf '%s\n' "${sources[@]}" | xargs -P "$jobs" -n 1 clang-tidy --quiet -p build/dev \
    --extra-arg=-Wno-unknown-warning-option
}

tsan() {
  cmake --preset tsan >/dev/null
  cmake --build --preset tsan -j "$jobs" --target worker_test
  # Threads of Open MPI are not under test: local_link runs the stages in this process.
  ctest --preset tsan
}

emulated_kernels() { # PRESET GTEST_FILTER
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1" -j "$jobs" --target cuda_tests cuda_planted_bugs
  ctest --test-dir "build/$1" -R '^Cuda.PlantedBug' --output-on-failure
  local program=build/$1/tests/cuda_emulation/cuda_tests
  "$program" --gtest_filter="$2" --gtest_output="xml:$program.xml"
  tests/cuda_emulation/kernels_run.py "$program" "$program.xml"
}

cuda() {
  emulated_kernels dev '*'
  # Races are seen in any order of threads, and in attention over a few rows as over many. What the
  # emulation finds itself it tells from a signal's handler, which TSan takes ill.
  emulated_kernels tsan '-*/descending:*HowAPromptIsCut*:*Attention.IsWithin*:AttentionBits*:Detects*'
}

mutants() { tests/cuda_emulation/mutate.py; }

models() {
  SLUICE_TEST_MODEL=$(scripts/fetch-model.sh smollm2)
  SLUICE_TEST_GEMMA3=$(scripts/fetch-model.sh gemma3)
  export SLUICE_TEST_MODEL SLUICE_TEST_GEMMA3
  cmake --preset test >/dev/null
  cmake --build --preset test -j "$jobs" --target worker_real_models_test worker_text_test
  build/test/tests/worker/worker_real_models_test
  build/test/tests/worker_text/worker_text_test --gtest_filter='Gemma3Tokenizer.*'
}

layouts() {
  cmake --preset test >/dev/null
  cmake --build --preset test -j "$jobs" --target worker_test
  SLUICE_LAYOUTS=320 build/test/tests/worker/worker_test --gtest_filter='Layouts.*'
  cmake --build --preset test -j "$jobs" --target cuda_worker_tests
  SLUICE_LAYOUTS=all build/test/tests/cuda_emulation/cuda_worker_tests --gtest_filter='*CudaLayouts*'
}

fuzz() {
  cmake -S . -B build/fuzz -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang \
    -DCMAKE_CXX_COMPILER=clang++ -DSLUICE_FUZZ=ON -DSLUICE_TESTS=OFF >/dev/null
  cmake --build build/fuzz -j "$jobs"
  local target corpus
  for target in build/fuzz/tests/fuzz/*_fuzz; do
    corpus=build/fuzz/corpus/$(basename "$target")
    echo "== $(basename "$target")"
    # Longer than the seeds: some faults grow with the input.
    "$target" -max_total_time="$1" -max_len=30000 -timeout=60 -print_final_stats=1 -artifact_prefix="$corpus-" \
      "$corpus" 2>&1 | tail -n 12
  done
}

case ${1:-all} in
  all) tidy; tsan; cuda; mutants; models; layouts; fuzz 300 ;;
  tidy) tidy ;;
  tsan) tsan ;;
  cuda) cuda ;;
  mutants) mutants ;;
  models) models ;;
  layouts) layouts ;;
  fuzz) fuzz "${2:-300}" ;;
  *) sed -n '2,10p' "$0" >&2; exit 2 ;;
esac
