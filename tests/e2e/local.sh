# shellcheck shell=bash
# What the tests of whole jobs on local ranks share: a scratch folder to work in, with a database and
# job folders of its own, and the few commands that they are made of. Sourced; the caller has set
# SLUICE, the program under test, e2e, this folder, and tiny, that of a tiny model.
: "${SLUICE:?}" "${e2e:?}" "${tiny:?}"
work=$(mktemp -d "${TMPDIR:-/tmp}/sluice-local-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit
export SLUICE_DB=$work/sluice.db SLUICE_JOB_ROOT=$work/jobs XDG_CONFIG_HOME=$work
export SLUICE_EXECUTOR=local SLUICE_LAUNCHER=mpirun SLUICE_MODEL=$tiny/model.gguf SLUICE_PRECISION=exact

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
sluice() { "$SLUICE" "$@"; }
worker() { "$(dirname "$SLUICE")/../worker/sluice-worker" "$@"; }
answers() { python3 "$e2e/answers.py" "$@"; }

job= # the last one
answer() { # EXPORT INPUT OPTIONS...
  job=$(sluice submit "${@:2}" --quiet)
  sluice wait "$job" --quiet || fail "job $job (${*:2}) ended with $?"
  sluice export "$job" -o "$1"
}
same() { answers same "$1" "$2" || fail "$1 and $2 differ"; }
refused() { # WORDS INPUT OPTIONS...
  local status=0
  sluice submit "${@:2}" --quiet 2>refusal || status=$?
  [ $status = 2 ] || fail "submit ${*:2} ended with $status, not 2"
  grep -qF -- "$1" refusal || fail "no word of '$1': $(cat refusal)"
}
