#!/usr/bin/env bash
# Start a throw-away Slurm cluster (munged, slurmctld, N slurmd) on this machine.
# Prints the export lines that its users need. Each node has its own hostname, /etc/hosts, process ids and network; files
# are common, as on a cluster with a shared file system. Needs root with CAP_SYS_ADMIN and CAP_NET_ADMIN, no systemd.
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${SLURM_KIT_DIR:-$PWD/.slurm}       # state, logs, pids
nodes=${SLURM_KIT_NODES:-2}
cpus=${SLURM_KIT_CPUS:-4}               # CPUs each node claims to have
net=${SLURM_KIT_NET:-own}               # own: a network per node; shared: the machine's
subnet=${SLURM_KIT_SUBNET:-10.213.77}   # a free /24, for net=own
port=${SLURM_KIT_PORT:-26817}           # slurmctld; node i takes port+i
requeue_delay=${SLURM_KIT_REQUEUE_DELAY:-10}

say() { echo "slurm-kit: $*" >&2; }
die() { say "$*"; exit 1; }

have_packages() {
    local c
    for c in munged slurmctld slurmd srun ip; do
        command -v $c >/dev/null || return
    done
}

# start NAME COMMAND...: run it in the background, note its pid once it is no copy of this shell any more: down.sh
# --check knows a daemon by its command line.
start() {
    local name=$1 pid
    shift
    setsid "$@" </dev/null >"$dir/$name.log" 2>&1 &
    pid=$!
    while kill -0 $pid 2>/dev/null && ! grep -qaF -- "$dir/" "/proc/$pid/cmdline" 2>/dev/null; do sleep 0.02; done
    echo "$pid $name" >>"$dir/pids"
}

add_bridge() {
    ip link add slurmkit0 type bridge
    echo slurmkit0 >>"$dir/links"       # noted only now: down.sh deletes what is in here
    ip addr add "$subnet.254/24" dev slurmkit0
    ip link set slurmkit0 up
}

add_node() {
    local i=$1 name=node$1 addr=127.0.0.1
    if [ "$net" = own ]; then
        addr=$subnet.$i
        ip netns add "slurmkit$i"
        echo "slurmkit$i" >>"$dir/links"
        ip link add "slurmkit$i" type veth peer name eth0 netns "slurmkit$i"
        ip link set "slurmkit$i" master slurmkit0 up
        ip -n "slurmkit$i" addr add "$addr/24" dev eth0
        ip -n "slurmkit$i" link set eth0 up
        ip -n "slurmkit$i" link set lo up
    fi
    mkdir "$dir/spool.$name"
    echo "$addr $name" >>"$dir/hosts"
    echo "NodeName=$name NodeHostname=$name NodeAddr=$addr Port=$((port + i)) CPUs=$cpus" \
        >>"$dir/slurm.conf"
}

# Each node has a hostname, an /etc/hosts and a pid namespace of its own. The pid
# noted is that of unshare; when it is killed everything on the node goes with it.
start_node() {
    local name=node$1 enter=()
    [ "$net" = shared ] || enter=(nsenter "--net=/run/netns/slurmkit$1")
    # shellcheck disable=SC2016
    start "$name" "${enter[@]}" unshare --uts --mount --pid --fork --kill-child --mount-proc \
        sh -ec 'mount --bind "$1" /etc/hosts; hostname "$2"; slurmd -D -N "$2" -f "$3" & wait' \
        sh "$dir/hosts" "$name" "$dir/slurm.conf"
}

# wait_until COMMAND...: for at most a minute and only while all daemons live.
wait_until() {
    local end=$((SECONDS + 60))
    until "$@"; do
        "$here/down.sh" --check
        [ $SECONDS -lt $end ]
        sleep 0.2
    done
}

all_idle() { [ "$(sinfo -h -N -t idle -o %N 2>/dev/null | wc -l)" = "$nodes" ]; }

[ "$(id -u)" = 0 ] || die "must run as root"
case $net in own | shared) ;; *) die "SLURM_KIT_NET must be own or shared" ;; esac
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
export SLURM_KIT_DIR=$dir SLURM_CONF=$dir/slurm.conf
case $dir in *[[:space:]]*) die "no white space in $dir, please" ;; esac
[ ${#dir} -le 60 ] || die "$dir is too long for Unix sockets; set SLURM_KIT_DIR"

if [ -e "$dir/env" ] && "$here/down.sh" --check; then
    say "already up"
    cat "$dir/env"
    exit
fi
"$here/down.sh"
have_packages || die "not installed: run tests/slurm/install.sh"
trap 'say "failed; the ends of its logs:"; tail -n 5 "$dir"/*.log >&2 2>/dev/null || true; "$here/down.sh"' ERR

mkdir -p "$dir/state"
echo '*' >"$dir/.gitignore"
: >"$dir/pids"
cp /etc/hosts "$dir/hosts"
ctld_addr=127.0.0.1
if [ "$net" = own ]; then
    add_bridge
    ctld_addr=$subnet.254
fi
host=$(uname -n)
sed -e "s|@DIR@|$dir|g" -e "s|@HOST@|${host%%.*}|g" -e "s|@CTLD_ADDR@|$ctld_addr|g" \
    -e "s|@PORT@|$port|g" -e "s|@REQUEUE_DELAY@|$requeue_delay|g" \
    "$here/slurm.conf.in" >"$dir/slurm.conf"
for ((i = 1; i <= nodes; i++)); do add_node "$i"; done

(umask 077 && head -c 64 /dev/urandom >"$dir/munge.key")
# --force: do not mind who owns the directories above ours.
start munged munged --foreground --force --key-file="$dir/munge.key" \
    --socket="$dir/munge.sock" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munge.seed"
wait_until test -S "$dir/munge.sock"
start slurmctld slurmctld -D -f "$dir/slurm.conf"
for ((i = 1; i <= nodes; i++)); do start_node "$i"; done
wait_until all_idle

say "$nodes nodes idle, net=$net, logs in $dir"
echo "export SLURM_KIT_DIR='$dir' SLURM_CONF='$dir/slurm.conf'" | tee "$dir/env"
