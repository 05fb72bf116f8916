#!/usr/bin/env bash
# A study of 12 small runs by Slurm over three "hosts" of this machine, one of which loses its link and its power midway;
# by GNU parallel over the same hosts; and by HyperQueue. Each must leave the study.json of a local study but for times.
# One training by Slurm with a worker on each host, of which one stands still and then a host is lost: it must leave the run
# of one worker but for times. For that osn needs MPI built in (docs/workers.md).
#
#   apt-get install slurmctld slurmd slurm-client munge parallel openmpi-bin && pip install hyperqueue
#   peers/cluster.sh target/release/osn            # as root, about ten minutes
#   peers/cluster.sh target/release/osn workers    # one of slurm, workers, parallel and hyperqueue alone
#
# A host is a network namespace with a host name, and all of them share the file system. Only 10.77.0.0/24 in these
# namespaces is used. What cannot be tried is named and left out.
set -euo pipefail

osn=$(realpath "${1:-target/release/osn}")
what=${2:-slurm workers parallel hyperqueue}
dir=$(mktemp -d /tmp/osn-cluster.XXXX)
hosts=3
export SLURM_CONF=$dir/slurm.conf RAYON_NUM_THREADS=1
study=(compare control --decide never,always,cap --seeds 4 --threads 1 --set steps=${STEPS:-3000} --set eval_every=100
    --set eval_episodes=2 --set final_episodes=4)
training=(train gan --set shards=3 --set batch_size=6 --set g_channels=4 --set d_channels=4 --set eval_images=100
    --set final_images=100 --set steps=${STEPS:-3000} --set eval_every=150 --set log_every=10)

pids=()
close() {
    disown -a
    for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
    for i in $(seq $hosts); do
        # Everything in a host was started here.
        for pid in $(ip netns pids osn-c$i 2> /dev/null); do kill -9 "$pid" 2> /dev/null || true; done
        ip netns del osn-c$i 2> /dev/null || true
        rm -rf /etc/netns/osn-c$i
    done
    ip netns del osn-csw 2> /dev/null || true
}
trap close EXIT

open() {
    ip netns add osn-csw
    ip -n osn-csw link add br0 type bridge
    ip -n osn-csw link set br0 up
    for i in $(seq $hosts); do
        ip netns add osn-c$i
        ip link add eth0 netns osn-c$i type veth peer name p$i netns osn-csw
        ip -n osn-csw link set p$i master br0 up
        ip -n osn-c$i addr add 10.77.0.$i/24 dev eth0
        ip -n osn-c$i link set eth0 up
        ip -n osn-c$i link set lo up
        mkdir -p /etc/netns/osn-c$i
        { echo 127.0.0.1 localhost; for j in $(seq $hosts); do echo "10.77.0.$j c$j"; done; } > /etc/netns/osn-c$i/hosts
        setsid ip netns exec osn-c$i unshare -u sh -c "hostname c$i; echo \$\$ > $dir/c$i.pid; exec sleep 100000" \
            < /dev/null > /dev/null 2>&1 &
    done
    for i in $(seq $hosts); do until [ -s "$dir/c$i.pid" ]; do sleep 0.1; done; done
    # A folder of each host's own.
    mkdir "$dir/own"
    # Stands for ssh: on HOST COMMAND.
    cat > "$dir/on" <<END
#!/bin/bash
while [[ \$1 == -* ]]; do case \$1 in -l|-p|-o|-i|-S) shift;; esac; shift; done
host=\${1#*@}; shift; [[ \${1:-} == -- ]] && shift
exec nsenter -t \$(cat $dir/\$host.pid) -n -u -m -- /bin/sh -c "cd '$dir'; \$*"
END
    chmod +x "$dir/on"
    for i in $(seq $hosts); do "$dir/on" c$i mount -t tmpfs tmpfs "$dir/own"; done
}

start_slurm() {
    [ -e "$SLURM_CONF" ] && return
    mkdir -p "$dir/state" /run/munge
    cat > "$SLURM_CONF" <<END
ClusterName=osn
SlurmctldHost=c1(10.77.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# How long a task that is to begin again waits.
AuthInfo=cred_expire=20
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.%n.log
SlurmdTimeout=10
SchedulerParameters=sched_interval=1,batch_sched_delay=0
# Fewer than there are runs, so that the study takes two arrays.
MaxArraySize=8
NodeName=c[1-3] NodeAddr=10.77.0.[1-3] CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
    # Nothing is put into control groups; without this line slurmd looks for them where a namespace has none.
    echo CgroupPlugin=cgroup/v1 > "$dir/cgroup.conf"
    if ! munge -n > /dev/null 2>&1; then
        [ -e /etc/munge/munge.key ] || { dd if=/dev/urandom of=/etc/munge/munge.key bs=1 count=1024 2> /dev/null
            chown munge: /etc/munge/munge.key; chmod 400 /etc/munge/munge.key; }
        chown munge: /run/munge
        setsid su -s /bin/sh munge -c '/usr/sbin/munged --foreground' < /dev/null > "$dir/munged.log" 2>&1 &
        pids+=($!)
        until munge -n > /dev/null 2>&1; do sleep 0.2; done
    fi
    "$dir/on" c1 "SLURM_CONF=$SLURM_CONF setsid slurmctld -D" < /dev/null > "$dir/ctld.out" 2>&1 &
    for i in $(seq $hosts); do start_node c$i; done
    until_idle
}

start_node() {
    mkdir -p "$dir/spool.$1"
    "$dir/on" $1 "SLURM_CONF=$SLURM_CONF setsid slurmd -D -N $1" < /dev/null > "$dir/slurmd.$1.out" 2>&1 &
}

until_idle() {
    until [ "$("$dir/on" c1 "SLURM_CONF=$SLURM_CONF sinfo -h -t idle -o %D" 2> /dev/null)" = $hosts ]; do sleep 0.5; done
}

# A host loses its link, and all that Slurm and osn have there.
lose() {
    ip -n osn-$1 link set eth0 down
    for pid in $(ip netns pids osn-$1); do
        case $(tr '\0' ' ' < /proc/$pid/cmdline) in *"--cell"* | *"--workers"* | *slurmd* | *slurmstepd*) kill -9 "$pid" || true ;; esac
    done
}

find_again() {
    ip -n osn-$1 link set eth0 up
    start_node $1
    until_idle
}

# Compares two studies but for times.
same() {
    python3 - "$@" <<'END'
import json, sys
def timeless(folder):
    study = json.load(open(folder + "/study.json"))
    for run in study["runs"]:
        run["wall_secs"] = run["started_unix_secs"] = None
    return study
here, there = map(timeless, sys.argv[1:])
assert all(run["status"] == "finished" for run in there["runs"]), "not every run has finished"
for key in here:
    assert here[key] == there[key], f"{key} differs"
print(f"{sys.argv[2]}: the study.json of {len(there['runs'])} runs is that of the local study")
END
}

ended() { grep -l '"status": "finished"' "$1"/runs/default/*/run.json 2> /dev/null | wc -l; }

by_slurm() {
    start_slurm
    local command="SLURM_CONF=$SLURM_CONF $osn ${study[*]} --out $dir/slurm --engine slurm:--time=30"
    echo "Slurm: Ctrl-C once, then attached again"
    "$dir/on" c1 "exec env --default-signal=INT $command" > "$dir/first.out" 2>&1 &
    local first=$!
    until [ "$(ls -d "$dir"/slurm/runs/default/*/ 2> /dev/null | wc -l)" -ge 4 ]; do sleep 0.2; done
    kill -INT $first || true
    wait $first || echo "detached with exit code $?"
    "$dir/on" c1 "env $command" > "$dir/second.out" 2>&1 &
    local second=$!
    until [ "$(find "$dir/slurm/runs" -name '*.safetensors' | wc -l)" -ge 4 ]; do sleep 0.2; done
    echo "host c2 is lost with $(ended "$dir/slurm") of 12 runs finished"
    lose c2
    wait $second
    find_again c2
    tail -n 4 "$dir/second.out"
    grep -h "resuming after step\|trained anew\|is being trained" "$dir"/slurm/slurm/*.out | sort | uniq -c || true
    same "$dir/local" "$dir/slurm"
}

# Compares two runs but for times: the record, and the tensors of the last checkpoint.
same_run() {
    python3 - "$@" <<'END'
import json, pathlib, sys
def timeless(run):
    events = [json.loads(line) for line in open(run / "record.jsonl")]
    return [{name: value for name, value in event.items() if name != "wall_secs"} for event in events]
def tensors(run):
    data = max((run / "checkpoints").iterdir()).read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    for name in ("__metadata__", "about", "clock", "record"):
        header.pop(name, None)
    return {name: data[slice(*(end + at for at in it["data_offsets"]))] for name, it in header.items()}
here, there = (next(pathlib.Path(folder).glob("gan-*")) for folder in sys.argv[1:])
assert json.load(open(there / "run.json"))["status"] == "finished"
assert timeless(here) == timeless(there), "the records differ"
assert tensors(here) == tensors(there), "the checkpoints differ"
print(f"{there}: {len(timeless(there))} events and {len(tensors(there))} tensors are those of one worker")
END
}

checkpoints() { ls "$1"/gan-*/checkpoints 2> /dev/null | tail -n 1; }

# Of the one job.
job() { "$dir/on" c1 "SLURM_CONF=$SLURM_CONF scontrol show job $1" | tr ' ' '\n' | sed -n "s/^$2=//p"; }

until_begun_again() {
    local before
    until [ "$(job $1 Restarts)" = $2 ] && [ "$(job $1 JobState)" = RUNNING ]; do sleep 0.5; done
    before=$(checkpoints "$dir/workers")
    until [ "$(checkpoints "$dir/workers")" != "$before" ]; do sleep 0.2; done
}

# The script of docs/workers.md. When a host is lost, the job is told to make do with the rest: any number of workers has the
# same bits.
by_workers() {
    start_slurm
    local run=$dir/workers/gan-auto-s1 id pid
    cat > "$dir/job.sh" <<END
#!/bin/sh
#SBATCH --nodes=$hosts --ntasks-per-node=1 --requeue --open-mode=append --output=$dir/job.out
export RAYON_NUM_THREADS=1 OSN_WAIT_SECS=5
# Hosts of one machine: TCP alone, and a folder of its own for each.
export OMPI_MCA_btl=tcp,self OMPI_MCA_btl_tcp_if_include=10.77.0.0/24 OMPI_MCA_mpi_yield_when_idle=1
export SLURM_PMIX_TMPDIR=$dir/own TMPDIR=$dir/own
if [ -e $run/checkpoints ]; then set -- resume $run; else set -- ${training[*]} --out $dir/workers; fi
srun --mpi=pmix --kill-on-bad-exit $osn "\$@" --workers mpi
code=\$?
echo "ended with exit code \$code on \$SLURM_JOB_NUM_NODES hosts"
[ \$code = 75 ] && scontrol requeue \$SLURM_JOB_ID
exit \$code
END
    "$osn" "${training[@]}" --out "$dir/alone" > /dev/null 2>&1
    id=$("$dir/on" c1 "SLURM_CONF=$SLURM_CONF sbatch --parsable $dir/job.sh")
    until [ "$(checkpoints "$dir/workers")" ]; do sleep 0.2; done
    for pid in $(ip netns pids osn-c3); do
        case $(tr '\0' ' ' < /proc/$pid/cmdline) in "$osn "*) kill -STOP "$pid" ;; esac
    done
    echo "the worker on c3 stands still after $(checkpoints "$dir/workers")"
    until_begun_again $id 1
    lose c2
    echo "host c2 is lost after $(checkpoints "$dir/workers")"
    until [ "$(job $id JobState)" = PENDING ]; do sleep 0.5; done
    "$dir/on" c1 "SLURM_CONF=$SLURM_CONF scontrol update JobId=$id NumNodes=2 NumTasks=2"
    until_begun_again $id 2
    until [ "$(job $id JobState)" = COMPLETED ]; do sleep 0.5; done
    grep "ended with\|waited\|NODE_FAIL\|NODE FAILURE\|resuming after" "$dir/job.out" || true
    same_run "$dir/alone" "$dir/workers"
    find_again c2
}

by_parallel() {
    "$osn" "${study[@]}" --out "$dir/parallel" --engine print > "$dir/parallel.txt"
    local line
    line=$(grep '^parallel ' "$dir/parallel.txt")
    "$dir/on" c1 "${line/--jobs 2/--ssh $dir/on -S 2/c1,2/c2,2/c3 --wd $dir --joblog $dir/joblog}" > "$dir/parallel.out" 2>&1
    awk 'NR > 1 { n[$2]++ } END { for (host in n) printf "%s trained %d runs\n", host, n[host] }' "$dir/joblog"
    "$osn" "${study[@]}" --out "$dir/parallel" > /dev/null 2>&1
    same "$dir/local" "$dir/parallel"
}

by_hyperqueue() {
    "$osn" "${study[@]}" --out "$dir/hq" --engine print > "$dir/hq.txt"
    local line
    line=$(grep '^hq submit' "$dir/hq.txt")
    echo "HyperQueue: ${line%% -- *}"
    (cd "$dir" && ${PYTHON:-python3} - ${line#* -- }) <<'END'
import sys
from hyperqueue import Client, Job
from hyperqueue.cluster import LocalCluster
from hyperqueue.cluster import WorkerConfig
words = sys.argv[1:]
with LocalCluster() as cluster:
    for _ in range(2):
        cluster.start_worker(WorkerConfig(cores=2))
    client, job = cluster.client(), Job()
    for cell in range(12):
        job.program([*words, str(cell)], env={"HQ_STUDY": "1"})
    submitted = client.submit(job)
    client.wait_for_jobs([submitted])
END
    "$osn" "${study[@]}" --out "$dir/hq" > /dev/null 2>&1
    same "$dir/local" "$dir/hq"
}

has() { command -v "$1" > /dev/null || { echo "$1 is missing: not tried"; return 1; }; }

open
echo "in $dir"
[ "$what" = workers ] || "$osn" "${study[@]}" --jobs 2 --out "$dir/local" > /dev/null 2> "$dir/local.out"
for engine in $what; do
    case $engine in
        slurm) has slurmctld && by_slurm ;;
        workers) has slurmctld && by_workers ;;
        parallel) has parallel && by_parallel ;;
        hyperqueue) ${PYTHON:-python3} -c 'import hyperqueue' 2> /dev/null && by_hyperqueue || echo "hyperqueue is missing: not tried" ;;
    esac
done
