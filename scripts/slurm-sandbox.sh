#!/usr/bin/env bash
# A real Slurm cluster of virtual nodes on one machine, for tests.
#
#   slurm-sandbox.sh up [N]         a controller ("head") and nodes n1..nN (default 2, at most 9)
#   slurm-sandbox.sh down           stop it; no process, mount or interface is left
#   slurm-sandbox.sh status         what runs, sinfo, squeue; exit status 1 when it is down
#   slurm-sandbox.sh exec CMD...    run CMD on the head
#   slurm-sandbox.sh on nI CMD...   run CMD on node nI
#   slurm-sandbox.sh fail nI        power nI off: no packet gets out any more, then SIGKILL to all
#   slurm-sandbox.sh boot nI        power it on again
#   slurm-sandbox.sh stop  ctld|dbd|slurmd:nI [SIGNAL]   signal one daemon (default KILL)
#   slurm-sandbox.sh start ctld|dbd|slurmd:nI            start it again
#
# PATH=$SBX_DIR/bin:$PATH gives sbatch, squeue, sacct, ... that work from outside of it.
#
# Each node is its own network, mount, UTS, IPC and PID namespace: own address 10.77.0.I, hostname,
# /dev/shm and processes. The nodes hang on a bridge inside the head's network namespace, which has
# no way out. Files are the machine's own, shared by all nodes as an NFS home would be. An ordinary
# user gets all this inside a user namespace.
#
# Settings, read by `up`:
#   SBX_DIR   state, logs, configuration (/var/tmp/slurm-sandbox-UID; a path without spaces)
#   SBX_CPUS  cores a node declares (2)           SBX_MEM   its memory in MB (4000)
#   SBX_PIN   1: node I and its jobs on core I-1 of the machine only, modulo its cores (0)
#   SBX_ACCT  1: slurmdbd and MariaDB, for sacct (1)
#   SBX_GPUS  GPUs a node declares, type t4 (0)
set -u
self=$(readlink -f "${BASH_SOURCE[0]}")
: "${SBX_DIR:=/var/tmp/slurm-sandbox-$(id -u)}" "${SBX_CPUS:=2}" "${SBX_MEM:=4000}"
: "${SBX_PIN:=0}" "${SBX_ACCT:=1}" "${SBX_GPUS:=0}"
D=$SBX_DIR
net=10.77.0
PATH=${PATH//"$D/bin:"/}:/usr/sbin:/sbin  # inside, the real commands, not the wrappers
export PATH

die() { echo "slurm-sandbox: $*" >&2; exit 1; }

wait_for() { # SECONDS CMD...
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.05
  done
}

# A zombie is dead: pid 1 of some containers never reaps, and kill -0 says that it lives.
alive() { # PID
  local stat
  stat=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) && [ -n "$stat" ] && [ "${stat%% *}" != Z ]
}

first_child() { # PID
  local children
  children=$(cat "/proc/$1/task/$1/children" 2>/dev/null)
  children=${children%% *}
  [ -n "$children" ] && echo "$children"
}

# ---- configuration -------------------------------------------------------------------------------

check_programs() {
  local want=(munged slurmctld slurmd sbatch ip unshare nsenter taskset) missing=() program
  [ "$SBX_ACCT" = 1 ] && want+=(slurmdbd mariadbd)
  for program in "${want[@]}"; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  [ ${#missing[@]} = 0 ] || die "missing: ${missing[*]} (scripts/install-deps.sh test installs them)"
}

write_slurm_conf() { # N
  local i gres=
  [ "$SBX_GPUS" -gt 0 ] && gres=" Gres=gpu:t4:$SBX_GPUS"
  cat <<EOF
ClusterName=sandbox
SlurmctldHost=head($net.254)
SlurmUser=$SBX_USER
SlurmdUser=$SBX_USER
AuthType=auth/munge
# cred_expire: how long a requeued job waits before it may start again (at least 5, default 120)
AuthInfo=socket=$D/sock/munge.sock,cred_expire=5
StateSaveLocation=$D/state
SlurmdSpoolDir=$D/spool/%n
SlurmctldPidFile=$D/run/slurmctld.pid
SlurmdPidFile=$D/run/slurmd-%n.pid
SlurmctldLogFile=$D/log/slurmctld.log
SlurmdLogFile=$D/log/slurmd-%n.log
MailProg=/bin/true
# Slurm's PMIx plugin makes a folder there for each step: shared by two nodes it collides
TmpFS=$D/tmp/%n
MpiDefault=pmix
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
# the nodes share the machine's cores: believe this file, not the hardware
SlurmdParameters=config_overrides
ReturnToService=2
# a fast life (defaults: 300, 120, 30, 10, 10, 60 s)
SlurmdTimeout=5
SlurmctldTimeout=5
KillWait=2
MessageTimeout=5
BatchStartTimeout=5
UnkillableStepTimeout=25
MinJobAge=300
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,batch_sched_delay=0,bf_interval=2,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
JobAcctGatherType=jobacct_gather/linux
EOF
  [ "$SBX_ACCT" = 1 ] && cat <<EOF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=$net.254
AccountingStoragePort=6819
AccountingStoragePass=$D/sock/munge.sock
AccountingStoreFlags=job_comment
EOF
  [ -n "$gres" ] && echo GresTypes=gpu
  for ((i = 1; i <= $1; ++i)); do
    echo "NodeName=n$i NodeAddr=$net.$i CPUs=$SBX_CPUS RealMemory=$SBX_MEM$gres State=UNKNOWN"
  done
  cat <<EOF
PartitionName=main Nodes=ALL Default=YES DefaultTime=10 MaxTime=60 PriorityTier=10 State=UP
PartitionName=low  Nodes=ALL DefaultTime=10 MaxTime=60 PriorityTier=1 State=UP
PartitionName=high Nodes=ALL DefaultTime=10 MaxTime=60 PriorityTier=100 PreemptMode=OFF State=UP
EOF
}

write_slurmdbd_conf() {
  cat <<EOF
AuthType=auth/munge
AuthInfo=socket=$D/sock/munge.sock
DbdHost=head
DbdAddr=$net.254
DbdPort=6819
SlurmUser=$SBX_USER
PidFile=$D/run/slurmdbd.pid
LogFile=$D/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=3306
StorageUser=root
StorageLoc=slurm_acct_db
EOF
}

# GPUs without hardware: File= must name as many character devices as there are GPUs; any will do.
write_gres_conf() {
  local devices=(/dev/null /dev/zero /dev/full /dev/random)
  [ "$SBX_GPUS" -le ${#devices[@]} ] || die "SBX_GPUS: at most ${#devices[@]}"
  [ "$SBX_GPUS" = 0 ] || echo "Name=gpu Type=t4 File=$(IFS=,; echo "${devices[*]:0:SBX_GPUS}")"
}

# slurmd loads a cgroup plugin even when nothing uses it: 22.05 knows only v1 and v2.
write_cgroup_conf() {
  local major
  major=$(slurmd -V | grep -oE '[0-9]+' | head -n 1)
  if [ "$major" -ge 23 ]; then echo CgroupPlugin=disabled; else echo CgroupPlugin=cgroup/v1; fi
}

write_hosts() { # N
  local i
  printf '%s\n' "127.0.0.1 localhost" "$net.254 head"
  for ((i = 1; i <= $1; ++i)); do echo "$net.$i n$i"; done
}

# All nodes share the machine's cores: ranks are not bound, and yield while they wait.
write_environment() {
  cat <<EOF
export SLURM_CONF=$D/slurm.conf
export OMPI_MCA_btl_tcp_if_include=$net.0/24 OMPI_MCA_oob_tcp_if_include=$net.0/24
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
export PRTE_MCA_hwloc_default_binding_policy=none PRTE_MCA_prte_if_include=$net.0/24
EOF
}

write_wrappers() {
  local program
  for program in sbatch squeue scancel sacct scontrol sinfo srun salloc sacctmgr; do
    printf '#!/bin/sh\nexec env SBX_DIR=%q %q exec %s "$@"\n' "$D" "$self" $program \
      >"$D/bin/$program"
    chmod 755 "$D/bin/$program"
  done
}

configure() { # N
  local i
  rm -rf "${D:?}"/{state,spool,run,log,tmp,sock,munge,db,bin}
  mkdir -p "$D"/{state,spool,run,log,tmp,sock,munge,db,bin}
  for ((i = 1; i <= $1; ++i)); do
    mkdir -p "$D/spool/n$i"
    mkdir -m 1777 "$D/tmp/n$i"
  done
  chmod 700 "$D/munge"
  (umask 077; head -c 1024 /dev/urandom >"$D/munge/key"; write_slurmdbd_conf >"$D/slurmdbd.conf")
  write_slurm_conf "$1" >"$D/slurm.conf"
  write_gres_conf >"$D/gres.conf"
  write_cgroup_conf >"$D/cgroup.conf"
  write_hosts "$1" >"$D/hosts"
  write_environment >"$D/env.sh"
  write_wrappers
  declare -p SBX_CPUS SBX_MEM SBX_PIN SBX_ACCT SBX_GPUS SBX_USER SBX_UID SBX_GID >"$D/settings"
}

# ---- inside the head's namespaces, as their root -------------------------------------------------

# The daemons run as the user. For an ordinary one that is a user namespace inside the one that holds
# the others: as root of that, slurmctld and slurmd cannot drop their groups and stop.
as_user=()
drop_root() {
  [ -z "$SBX_UID" ] || as_user=(unshare --user --map-user="$SBX_UID" --map-group="$SBX_GID")
}

daemon() { # NAME CMD...
  local name=$1
  shift
  setsid "${as_user[@]}" "$@" </dev/null >>"$D/log/$name.out" 2>&1 &
  echo $! >"$D/run/$name.daemon"
}

answers() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; } # HOST PORT
answers_or_died() { answers "$2" "$3" || ! alive "$(cat "$D/run/$1.daemon")"; }
started() { # NAME HOST PORT
  wait_for 20 answers_or_died "$@"
  answers "$2" "$3" || die "$1 did not start"
}

start_munge() {
  daemon munged munged -F --force --num-threads=2 --key-file="$D/munge/key" \
    --socket="$D/sock/munge.sock" --pid-file="$D/munge/munged.pid" \
    --log-file="$D/log/munged.log" --seed-file="$D/munge/seed"
  wait_for 5 test -S "$D/sock/munge.sock" || die "munged did not start"
}

# An empty folder is enough with --skip-grant-tables.
start_database() {
  daemon mariadb mariadbd --no-defaults --user="$SBX_USER" --datadir="$D/db" \
    --bind-address=127.0.0.1 --port=3306 --socket="$D/run/mariadb.sock" \
    --pid-file="$D/run/mariadb.pid" --skip-grant-tables --skip-log-bin \
    --innodb-flush-log-at-trx-commit=0 --innodb-log-file-size=64M \
    --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900
  started mariadb 127.0.0.1 3306
}

start_dbd() {
  daemon slurmdbd slurmdbd -D
  started slurmdbd $net.254 6819
}

start_ctld() {
  daemon slurmctld slurmctld -D -f "$D/slurm.conf"
  started slurmctld $net.254 6817
}

start_slurmd() { # I
  local pin=()
  [ "$SBX_PIN" = 1 ] && pin=(taskset -c $((($1 - 1) % $(nproc --all))))
  daemon "slurmd-n$1" "${pin[@]}" slurmd -D -N "n$1" -f "$D/slurm.conf"
}

namespaces=(unshare --net --mount --uts --ipc --pid --fork --kill-child=KILL --mount-proc)

boot_node() { # I
  local i=$1 pid
  if [ -e "$D/run/n$i.unshare" ] && alive "$(cat "$D/run/n$i.unshare")"; then die "n$i is on"; fi
  ip link del "v$i" 2>/dev/null
  setsid "${namespaces[@]}" "$self" __node "$i" </dev/null >>"$D/log/n$i.out" 2>&1 &
  pid=$!
  echo $pid >"$D/run/n$i.unshare"
  has_network() { [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
  wait_for 5 has_network || die "n$i has no network namespace"
  ip link add "v$i" type veth peer name eth0 netns "$pid" || die "n$i: no link"
  ip link set "v$i" master br0 up || die "n$i: no link"
}

# As pid 1 of its namespace bash adopts the orphans.
reap_for_ever() { while :; do wait -n 2>/dev/null || sleep 1; done; }

head_main() { # N
  local i
  hostname head
  ip link set lo up
  { ip link add br0 type bridge && ip addr add $net.254/24 dev br0 && ip link set br0 up; } ||
    die "no bridge"
  mount -t tmpfs tmpfs /dev/shm
  mount --bind "$D/hosts" /etc/hosts
  start_munge
  for ((i = 1; i <= $1; ++i)); do boot_node "$i"; done
  if [ "$SBX_ACCT" = 1 ]; then
    start_database
    start_dbd
    "${as_user[@]}" sacctmgr -i add cluster sandbox >>"$D/log/sacctmgr.out" 2>&1 ||
      die "sacctmgr: $(tail -n 1 "$D/log/sacctmgr.out")"
  fi
  start_ctld
  touch "$D/run/ready"
  reap_for_ever
}

node_main() { # I
  hostname "n$1"
  ip link set lo up
  mount -t tmpfs tmpfs /dev/shm  # Open MPI names its segments by host and job
  wait_for 5 ip link show eth0 >/dev/null 2>&1 || die "n$1: no eth0"
  ip addr add "$net.$1/24" dev eth0
  ip link set eth0 up
  start_slurmd "$1"
  reap_for_ever
}

# ---- from outside --------------------------------------------------------------------------------

head_pid() {
  local pid
  pid=$(cat "$D/run/head.unshare" 2>/dev/null) && alive "$pid" && first_child "$pid"
}

as_head_root() { # CMD...
  local pid user=()
  pid=$(head_pid) || die "it is down ($D)"
  [ -z "$SBX_UID" ] || user=(--user --preserve-credentials)
  nsenter -t "$pid" "${user[@]}" --net --mount --uts --ipc --pid --root --wdns="$PWD" "$@"
}

as_node_root() { # I CMD...
  local pid
  pid=$(as_head_root sh -c "read -r p <$D/run/n$1.unshare && cat /proc/\$p/task/\$p/children") ||
    die "n$1 is off"
  shift
  as_head_root nsenter -t "${pid%% *}" --net --mount --uts --ipc --pid --root --wdns="$PWD" "$@"
}

up() { # [N]
  local n=${1:-2} pid begin=$EPOCHREALTIME
  [[ $n =~ ^[1-9]$ ]] || die "up N: 1 to 9 nodes"
  [[ $D != *[[:space:]]* ]] || die "SBX_DIR: a path without spaces"
  head_pid >/dev/null && die "it is up already ($D)"
  check_programs
  SBX_USER=$(id -un) SBX_UID='' SBX_GID=''
  local user=()
  if [ "$(id -u)" != 0 ]; then
    user=(--user --map-root-user)
    SBX_UID=$(id -u) SBX_GID=$(id -g)
  fi
  mkdir -p "$D" && chmod 755 "$D" || exit 1
  configure "$n"
  # shellcheck source=/dev/null
  . "$D/env.sh"
  (cd / && exec setsid "${namespaces[@]:0:1}" "${user[@]}" "${namespaces[@]:1}" "$self" __head "$n") \
    </dev/null >>"$D/log/head.out" 2>&1 &
  pid=$!
  disown
  echo $pid >"$D/run/head.unshare"
  ready_or_died() { [ -e "$D/run/ready" ] || ! alive "$pid"; }
  wait_for 60 ready_or_died
  if ! [ -e "$D/run/ready" ]; then
    tail -n 5 "$D"/log/*.out >&2
    down >/dev/null
    die "the controller did not come up"
  fi
  drop_root
  idle() { [ "$(as_head_root "${as_user[@]}" sinfo -h -N -p main -t idle -o %N 2>/dev/null | wc -l)" = "$n" ]; }
  if ! wait_for 30 idle; then
    tail -n 3 "$D"/log/slurmd-n*.log >&2
    down >/dev/null
    die "the nodes did not become idle"
  fi
  echo "up: $n nodes in $D after $(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN{printf "%.1f", b-a}') s"
}

# Gently first, so that slurmctld saves its state and the database closes; --kill-child then takes
# the namespace's init along, and the kernel everything in it.
down() {
  local pid
  pid=$(cat "$D/run/head.unshare" 2>/dev/null) || { echo "down already ($D)"; return 0; }
  if alive "$pid"; then
    as_head_root sh -c "cd '$D/run'
      for d in slurmctld slurmdbd mariadb; do
        [ -e \$d.daemon ] && kill -CONT \$(cat \$d.daemon) && kill \$(cat \$d.daemon)
      done
      for i in \$(seq 60); do
        left=
        for d in slurmctld slurmdbd mariadb; do
          [ -e \$d.daemon ] && kill -0 \$(cat \$d.daemon) && left=1
        done
        [ -n \"\$left\" ] || break
        sleep 0.05
      done" 2>/dev/null
    kill -KILL "$pid"
    gone() { ! alive "$pid"; }
    wait_for 5 gone
  fi
  rm -f "$D"/run/*
  echo "down ($D)"
}

status() {
  head_pid >/dev/null || { echo "down ($D)"; return 1; }
  echo "up ($D)"
  as_head_root ps -eo pid,stat,etimes,rss,args --forest
  as_head_root "${as_user[@]}" sinfo -N -p main
  as_head_root "${as_user[@]}" squeue -a
}

signal_daemon() { # ctld|dbd|slurmd:nI [SIGNAL]
  local kill="kill -${2:-KILL} \$(cat $D/run/"
  case ${1:-} in
    ctld | dbd) as_head_root sh -c "${kill}slurm$1.daemon)" ;;
    slurmd:n[1-9]) as_node_root "${1#slurmd:n}" sh -c "${kill}slurmd-${1#slurmd:}.daemon)" ;;
    *) die "stop ctld, dbd or slurmd:nI" ;;
  esac
}

start_daemon() { # ctld|dbd|slurmd:nI
  case ${1:-} in
    ctld | dbd) as_head_root "$self" __do "start_$1" ;;
    slurmd:n[1-9]) as_node_root "${1#slurmd:n}" "$self" __do start_slurmd "${1#slurmd:n}" ;;
    *) die "start ctld, dbd or slurmd:nI" ;;
  esac
}

command=${1:-}
[ $# -gt 0 ] && shift
if [ "$command" != up ]; then
  : "${SBX_UID=}" "${SBX_GID=}"
  # shellcheck source=/dev/null
  { [ ! -r "$D/settings" ] || . "$D/settings"; [ ! -r "$D/env.sh" ] || . "$D/env.sh"; }
  drop_root
fi
export SBX_DIR
case $command in
  up) up "$@" ;;
  down) down ;;
  status) status ;;
  exec) as_head_root "${as_user[@]}" "$@" ;;
  on) node=${1#n}; shift; as_node_root "$node" "${as_user[@]}" "$@" ;;
  fail) as_head_root sh -c "ip link set v${1#n} down; kill -KILL \$(cat $D/run/n${1#n}.unshare)" ;;
  boot) as_head_root "$self" __do boot_node "${1#n}" ;;
  stop) signal_daemon "$@" ;;
  start) start_daemon "$@" ;;
  __head) head_main "$@" ;;
  __node) node_main "$@" ;;
  __do) "$@" ;;
  *) sed -n '2,29p' "$self" >&2; exit 2 ;;
esac
