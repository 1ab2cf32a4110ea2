#!/usr/bin/env bash
# From nothing to answers: installs what is missing, builds, fetches a small real model, and answers
# 24 prompts on two MPI ranks of this machine. The second time it only runs the job.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n== %s\n' "$*"; }

say "packages"
scripts/install-deps.sh build

say "build (release)"
mkdir -p build
build_all() {
  cmake --preset release && cmake --build --preset release -j "$(nproc)" &&
    cmake --install build/release --prefix build/sluice
}
echo "about 3 minutes on 2 cores the first time; log in build/release.log"
build_all >build/release.log 2>&1 || {
  tail -n 30 build/release.log >&2
  exit 1
}
export PATH="$PWD/build/sluice/bin:$PATH"

say "model"
model=$(scripts/fetch-model.sh)
echo "$model"

say "24 prompts on 2 ranks"
job=$(sluice submit docs/examples/prompts.jsonl --model "$model" --executor local --nodes 2 \
  --max-tokens 48 --name quickstart --quiet)
sluice wait "$job"

say "sluice status"
sluice status

say "sluice show $job"
sluice show "$job"

say "some answers (sluice export $job)"
# Not head: it would end the pipe before all is written.
sluice export "$job" --format jsonl | sed -n 1,4p

cat <<X

Yours now:  export PATH="$PWD/build/sluice/bin:\$PATH"
            sluice submit PROMPTS.jsonl --model MODEL.gguf --nodes 2 --wait
On a Slurm cluster the same command goes through sbatch: see docs/cluster.md.
X
