#!/usr/bin/env bash
# End to end on a real Slurm: slurm_test.sh CASE, or `list`. See lib.sh.
# shellcheck disable=SC2016  # programs in single quotes expand by themselves
. "$(dirname "$0")/lib.sh"

prompts_of() { answers prompts "$1" "$2" >"$work/prompts.jsonl"; } # COUNT TOKENS

# ---- the plain way -------------------------------------------------------------------------------

# Held, released, running, done: each state is seen, since nothing moves on by itself.
case_lives_on_2_nodes() { lives_on_nodes 2 4; }
case_lives_on_3_nodes() { lives_on_nodes 3 1; }
lives_on_nodes() { # NODES BATCH_SIZE; the local run that it is compared with has another
  prompts_of 500 200
  local job
  job=$(submit prompts.jsonl --nodes "$1" --batch-size "$2" --sbatch-arg=--hold)
  must 10 is "$job" pending
  [ "$(job_field "$job" cluster_reason)" = JobHeldUser ] || fail "the reason is not shown"
  scontrol release "$(slurm_id "$job")"
  must 30 is "$job" running
  [ "$(job_field "$job" node_list)" = "n[1-$1]" ] || fail "the nodes are not shown"
  completes "$job"
  answers once "$(job_dir "$job")" 500
  equals_local "$job" prompts.jsonl
}

case_replicas_share_a_job() {
  prompts_of 500 200
  local job dir replica
  job=$(submit prompts.jsonl --nodes 3 --replicas 3)
  dir=$(job_dir "$job")
  completes "$job"
  answers once "$dir" 500
  for replica in 0 1 2; do
    [ -s "$dir/results/1.0-$replica.jsonl" ] || fail "replica $replica answered nothing"
  done
  equals_local "$job" prompts.jsonl
}

case_mpirun_launches_too() {
  prompts_of 40 50
  local job
  job=$(submit prompts.jsonl --nodes 2 --launcher mpirun)
  completes "$job"
  equals_local "$job" prompts.jsonl
}

case_real_model_equals_the_reference() {
  [ -n "${SLUICE_TEST_MODEL:-}" ] || { echo "SLUICE_TEST_MODEL is not set"; exit 77; }
  equals_reference "$SLUICE_TEST_MODEL" "$root/tests/data/smollm2-135m-instruct/greedy.jsonl"
}

# Windowed layers, and weights in shards.
case_folders_equal_the_reference() {
  local folder
  for folder in gemma3-f32 qwen2-tied-sharded-bf16; do
    equals_reference "$root/tests/data/tiny/$folder" "$root/tests/data/tiny/$folder/cases.jsonl"
  done
}

equals_reference() { # MODEL CASES
  local model=$1 job
  python3 - "$2" >prompts.jsonl <<'PYTHON'
import json, sys
for line in open(sys.argv[1], encoding="utf-8"):
    case = json.loads(line)
    if len(case["prompt_token_ids"]) <= 64:
        print(json.dumps({"id": case["id"], "token_ids": case["prompt_token_ids"],
                          "max_tokens": case["max_tokens"]}))
PYTHON
  job=$(submit prompts.jsonl --nodes 2 --precision exact)
  completes "$job" 300
  sluice export "$job" -o answers.jsonl
  answers reference answers.jsonl "$2"
}

# Each run of a study waits for the one before it, on nodes that could have taken them side by side.
case_study_runs_in_turn() {
  prompts_of 40 50
  sluice study strong prompts.jsonl --nodes 1,2 --repeats 2 --model "$tiny" --executor slurm --mem 1G \
    --ignore-eos --quiet >study-name
  [ "$(cat study-name)" = study-1 ] || fail "the study is $(cat study-name)"
  timeout 180 "$SLUICE" study wait study-1 --quiet || fail "sluice study wait ended with $?"
  sluice report study-1 --format json >report.json
  sluice export "$(python3 -c 'import json; print(json.load(open("report.json"))["points"][1]["usual_job"])')" \
    --what trace -o trace.json
  python3 - <<'PYTHON'
import json, sqlite3
report = json.load(open("report.json"))
assert report["kind"] == "strong" and [p["runs"] for p in report["points"]] == [2, 2], report
for point in report["points"]:
    assert point["unattributed_share"] < 0.01 and point["speedup"] > 0, point
losses = report["losses"][0]
assert abs(losses["sum"] - (1 - report["points"][1]["parallel_efficiency"])) < 1e-3, losses
rows = list(sqlite3.connect("sluice.db").execute(
    "select started_unix_s, ended_unix_s from v_jobs order by job"))
assert len(rows) == 4
for before, after in zip(rows, rows[1:]):
    assert before[1] <= after[0] + 1, rows  # to the second in which Slurm saw the end
predicted = sqlite3.connect("sluice.db").execute("select count(*) from v_predictions").fetchone()[0]
assert predicted == 4, predicted
PYTHON
  sluice plan prompts.jsonl --model "$tiny" --executor slurm --mem 1G --nodes 2,64 --on-node --format json >plan.json
  python3 - <<'PYTHON'
import json, sqlite3
layouts = json.load(open("plan.json"))
assert all(layout["wall_clock_s"] > 0 and layout["parallel_efficiency"] > 0 for layout in layouts), layouts
for layout in layouts:
    assert ("has only" in layout["problem"]) == (layout["nodes"] == 64), layout
assert sqlite3.connect("sluice.db").execute("select count(*) from calibrations").fetchone()[0] == 1
PYTHON
}

case_two_submits_at_once() {
  prompts_of 40 50
  local first second
  submit prompts.jsonl --nodes 2 >first &
  submit prompts.jsonl --nodes 1 >second
  wait $!
  first=$(cat first) second=$(cat second)
  [ "$first" != "$second" ] || fail "one id for two jobs"
  completes "$first"
  completes "$second"
  sluice export "$first" -o first.jsonl
  sluice export "$second" -o second.jsonl
  answers same first.jsonl second.jsonl
}

# Quotes, spaces, a percent sign and a hash in folder, name and environment.
case_hostile_names_arrive() {
  export SLUICE_JOB_ROOT="$work/a 'q' \"d\" 100% #1 \$(id)"
  prompts_of 8 8
  mv prompts.jsonl "a 'b' \$(id).jsonl"
  local job dir
  job=$(submit "a 'b' \$(id).jsonl" --nodes 2 --name "it's \"a\" name" \
    --sbatch-arg="--wckey=a 'b' \"c\" # \$(id)")
  completes "$job"
  dir=$(job_dir "$job")
  answers once "$dir" 8
  ls "$dir"/runs/1.0/slurm-"$(slurm_id "$job")".out >/dev/null || fail "the log is elsewhere"
  # The script by itself means the same: Slurm's parser reads the #SBATCH lines back.
  sed 's/^sluice_start=.*/exit 0/' "$dir/script-1.sh" >by_hand.sh
  local by_hand
  by_hand=$(sbatch --parsable --hold by_hand.sh)
  [ "$(squeue -h -j "$by_hand" -o '%w')" = "a 'b' \"c\" # \$(id)" ] ||
    fail "wckey: $(squeue -h -j "$by_hand" -o '%w')"
  scontrol show job -o "$by_hand" >shown
  grep -qF "StdOut=${dir//%/%%}/runs/1.0/slurm-" shown || fail "$(cat shown)"
}

# ---- the site itself --------------------------------------------------------------------------

# sluice doctor ...; what it says is in `said`.
examined() { # STATUS OPTIONS...
  local status=0
  sluice doctor --executor slurm "${@:2}" >said 2>&1 || status=$?
  cat said
  [ $status = "$1" ] || fail "doctor ${*:2} ended with $status, not $1"
}
says() { grep -qE -- "$1" said || fail "no line of '$1'"; }

case_doctor_looks_from_the_nodes() {
  examined 0 --nodes 2 --model "$tiny"
  says '^ ok +controller +Slurmctld'
  says '^ ok +accounting'
  says '^ ok +world +one of 2 ranks: n[123], n[123]$'
  says '^ ok +job root on nodes'
  says '^ ok +model on nodes'
  examined 0 --nodes 2 --launcher mpirun
  says '^ ok +world +one of 2 ranks: n[123], n[123]$'
  examined 1 --nodes 4 --job-root "$work"
  says '^ problem +partition .*a job of 4 nodes would wait for ever'
  examined 1 --partition nope
  says 'one of main, low, high'
  queue_is_empty || fail "the doctor left a job in the queue"
  ! [ -e "$work/sluice.db" ] || fail "the doctor made a database"

  # What only one node sees is no job root.
  examined 1 --nodes 2 --job-root /dev/shm
  says '^ problem +job root on nodes +/dev/shm: n[123] '
}

# A plugin that the MPI of sluice-worker does not know.
case_doctor_finds_worlds_of_one() {
  examined 1 --nodes 2 --launcher 'srun --mpi=pmi2'
  says '^ warning +mpi .*pmi2'
  says '^ problem +(probe|world)'
  says 'fix: launcher = "srun --mpi=pmix"'
}

# ---- ends that nobody wants ----------------------------------------------------------------------

case_cancelled_while_pending() {
  prompts_of 8 8
  local job
  job=$(submit prompts.jsonl --nodes 2 --sbatch-arg=--hold)
  must 10 is "$job" pending
  sluice cancel "$job"
  must 30 is "$job" cancelled
  must 10 queue_is_empty
  ! [ -e "$(job_dir "$job")/runs/1.0/started.json" ] || fail "it ran"
}

case_cancelled_while_running() {
  prompts_of 20000 256
  local job dir
  job=$(submit prompts.jsonl --nodes 2)
  dir=$(job_dir "$job")
  must 60 has_durable "$dir"
  sluice cancel "$job"
  must 60 is "$job" cancelled
  must 30 queue_is_empty  # and it did not requeue itself
  sluice export "$job" --partial -o partial.jsonl
  [ "$(wc -l <partial.jsonl)" -gt 0 ] || fail "what was answered is lost"
}

# slurmctld looks at time limits every 30 s; an administrator may move the end.
case_time_limit() {
  prompts_of 20000 256
  local job dir
  job=$(submit prompts.jsonl --nodes 2 --time 5 --max-attempts 2)
  dir=$(job_dir "$job")
  must 60 has_durable "$dir"
  scontrol update "jobid=$(slurm_id "$job")" EndTime="$(date -d '+1 sec' +%FT%T)"
  must 90 attempts_are "$job" 2  # it has answers to show for the first: worth another
  sluice export "$job" --what events -o events.jsonl
  grep -q TIMEOUT events.jsonl || fail "no word of the time limit: $(cat events.jsonl)"
  must 60 test -e "$dir/runs/2.0/started.json"
  sluice cancel "$job"
  must 60 is "$job" cancelled
}
attempts_are() { [ "$(job_field "$1" attempts)" = "$2" ]; }  # JOB COUNT

# What --signal=B:USR1@60 does a minute before the limit, sent by hand.
case_warned_job_requeues_itself() { requeues_itself; }
case_warned_replicas_requeue_together() { requeues_itself --replicas 2; }
requeues_itself() { # OPTIONS...
  prompts_of 1500 200
  local job dir counts
  job=$(submit prompts.jsonl --nodes 2 "$@")
  dir=$(job_dir "$job")
  must 60 has_durable "$dir"
  scancel --batch --signal=USR1 "$(slurm_id "$job")"
  completes "$job" 300
  counts=$(answers once "$dir" 1500)
  echo "results a run: $counts"
  [ "$(runs_of "$dir")" = "1.0 1.1" ] || fail "runs: $(runs_of "$dir")"
  attempts_are "$job" 1 || fail "it took $(job_field "$job" attempts) attempts"
}

case_node_fails() {
  prompts_of 1500 200
  local job dir
  job=$(submit prompts.jsonl --nodes 2)
  dir=$(job_dir "$job")
  must 60 has_durable "$dir"
  local batch nodes victim
  batch=$(squeue -h -j "$(slurm_id "$job")" -o %B)
  nodes=$(scontrol show hostnames "$(job_field "$job" node_list)")
  victim=$(grep -vx "$batch" <<<"$nodes")
  sandbox fail "$victim"
  must 90 test -d "$dir/runs/1.1"  # Slurm puts it on the nodes that are left
  completes "$job" 300
  answers once "$dir" 1500
  sandbox boot "$victim"
  must 60 nodes_are_idle
}
nodes_are_idle() { [ "$(sinfo -h -N -p main -t idle -o %N | wc -l)" = 3 ]; }

# One rank is killed: the others end with it, and the retry computes what was not durable.
case_rank_killed_then_retried() {
  prompts_of 1500 200
  local job dir done_before counts
  job=$(submit prompts.jsonl --nodes 2)
  dir=$(job_dir "$job")
  must 60 has_durable "$dir"
  kill_rank n2 "$dir"
  must 60 is "$job" failed
  must 30 queue_is_empty
  done_before=$(durable "$dir")
  [ "$done_before" -lt 1500 ] || fail "it was done before the rank was killed"
  sluice retry "$job"
  completes "$job" 300
  counts=$(answers once "$dir" 1500)
  echo "durable before: $done_before; results a run: $counts"
  [ "$counts" = "1.0:$done_before 2.0:$((1500 - done_before))" ] || fail "computed twice or lost"
}
kill_rank() { # NODE JOB_DIR
  local pid
  pid=$(sandbox on "$1" pgrep -f "^[^ ]*sluice-worker run --job-dir $2 ") || fail "no rank on $1"
  sandbox on "$1" kill -KILL "$pid"
}

# ---- submissions that go wrong -------------------------------------------------------------------

# sluice dies between sbatch's success and its own record of it.
case_killed_after_sbatch() {
  prompts_of 40 50
  replace_sbatch '"$real" "$@"; kill -KILL $PPID'
  submit prompts.jsonl --nodes 2 && fail "sluice lived"
  restore_sbatch
  one_job_runs_once
}

# sluice dies before sbatch is reached: only the intent is there.
case_killed_before_sbatch() {
  prompts_of 40 50
  replace_sbatch 'kill -KILL $PPID'
  submit prompts.jsonl --nodes 2 && fail "sluice lived"
  restore_sbatch
  export SLUICE_SUBMIT_GRACE=1
  one_job_runs_once
}

# The job is queued, but the answer says that nobody answered.
case_answer_lost() {
  prompts_of 40 50
  replace_sbatch '"$real" "$@" >/dev/null
echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2
exit 1'
  submit prompts.jsonl --nodes 2 || [ $? = 5 ] || fail "an unknown answer is exit status 5"
  restore_sbatch
  one_job_runs_once
}

# Two copies are queued: the one that comes second sees the claim and leaves.
case_submitted_twice() {
  prompts_of 40 50
  replace_sbatch '"$real" "$@" >/dev/null; exec "$real" "$@"'
  local job dir
  job=$(submit prompts.jsonl --nodes 1)
  restore_sbatch
  completes "$job"
  must 30 queue_is_empty
  dir=$(job_dir "$job")
  [ "$(copies_of "$dir")" = 2 ] || fail "there were no two copies"
  grep -l "leaves it alone" "$dir"/runs/1.0/slurm-*.out >/dev/null || fail "no copy left"
  answers once "$dir" 40
}

case_refused() {
  prompts_of 8 8
  local status=0
  submit prompts.jsonl --nodes 2 --partition nope 2>message >/dev/null || status=$?
  [ $status = 2 ] || fail "exit status $status: $(cat message)"
  grep -q "partition nope: Slurm has none of that name" message || fail "message: $(cat message)"
  status=0
  submit prompts.jsonl --nodes 2 --constraint nope 2>message >/dev/null || status=$?
  [ $status = 1 ] || fail "exit status $status: $(cat message)"
  grep -q "Invalid feature specification" message || fail "Slurm's words: $(cat message)"
  queue_is_empty || fail "something is queued"
}

one_job_runs_once() {
  local job=1 dir
  must 60 has_slurm_id "$job"
  completes "$job"
  must 30 queue_is_empty
  dir=$(job_dir "$job")
  [ "$(copies_of "$dir")" = 1 ] || fail "$(copies_of "$dir") copies were queued"
  [ "$(runs_of "$dir")" = 1.0 ] || fail "runs: $(runs_of "$dir")"
  answers once "$dir" 40
}
has_slurm_id() { [ -n "$(slurm_id "$1")" ]; }

name=${1:?a case, or list}
if [ "$name" = list ]; then
  declare -F | sed -n 's/^declare -f case_//p'
else
  begin_case "$name"
  "case_$name"
fi
