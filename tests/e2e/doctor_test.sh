#!/usr/bin/env bash
# What sluice doctor finds on this machine, with real ranks. Oracle: a site that runs the other tests
# is well; each fault is planted.
#   SLUICE   the program under test
set -euo pipefail
: "${SLUICE:?the path of sluice}"

e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tiny=$e2e/../data/tiny/smollm-tied-f16
# shellcheck source-path=SCRIPTDIR
. "$e2e/local.sh"

examined() { # STATUS OPTIONS...; what it says is in `said`
  local status=0
  sluice doctor "${@:2}" >said 2>&1 || status=$?
  [ $status = "$1" ] || fail "doctor ${*:2} ended with $status, not $1: $(cat said)"
}
says() { grep -qE -- "$1" said || fail "no line of '$1': $(cat said)"; }

examined 0 --nodes 3
says '^ ok +worker '
says '^ ok +model +.*: llama, '
says '^ ok +launcher '
says '^ ok +world +one of 3 ranks: '
says '^ ok +worker on nodes'
says '^ ok +job root on nodes'
says '^ ok +model on nodes'
says '^ (ok|warning) +network'
[ -z "$(find . -mindepth 1 ! -name said)" ] || fail "it left $(find . -mindepth 1)"
sluice doctor --nodes 2 --format json >said || fail "doctor --format json ended with $?"
python3 -c '
import json
checks = json.load(open("said"))
assert all(set(check) == {"name", "status", "found", "fix"} for check in checks), checks
assert not [check for check in checks if check["status"] == "problem"], checks'

# An mpirun whose ranks do not know of each other, as when it is another MPI'"'"'s.
mkdir bin
cat >bin/mpirun <<'LAUNCHER'
#!/bin/bash
[ "$1" != --version ] || { echo "mpirun (Open MPI) 4.1.4"; exit; }
ranks=$2
while [[ $1 != */sluice-worker ]]; do shift; done
for ((i = 0; i < ranks; ++i)); do "$@" || exit; done
LAUNCHER
chmod +x bin/mpirun
examined 1 --nodes 2 --launcher "$work/bin/mpirun"
says '^ problem +world +2 worlds of 1 formed in place of one of 2'
says 'fix: launch with the mpirun of the MPI that sluice-worker is built with'

examined 1 --worker "$work/bin/none"
says '^ problem +worker +.*no such program'
echo 'not a model' >broken.gguf
examined 1 --model broken.gguf
says '^ problem +model +.*broken.gguf'
head -c 9000 /dev/zero >sluice.db
examined 1
says '^ problem +database +'
rm sluice.db
touch file
examined 1 --job-root file/jobs
says '^ problem +job root +'
