#!/bin/bash
# hosts.sh up N | down N: N hosts on this machine, h1 to hN, 10.77.0.1 to 10.77.0.N: a network namespace with a name
# and a /dev/shm of its own each, joined by a bridge in one more. Nothing of the machine's own network is touched. Needs root.
set -euo pipefail
what=$1 count=$2
state=${TMPDIR:-/tmp}/osn-hosts
case $what in
up)
    mkdir -p "$state"
    ip netns add osn-switch
    ip -n osn-switch link add bridge type bridge
    ip -n osn-switch link set bridge up
    for ((i = 1; i <= count; i++)); do
        host=osn-h$i
        ip netns add $host
        ip link add eth0 netns $host type veth peer name port$i netns osn-switch
        ip -n osn-switch link set port$i master bridge up
        ip -n $host addr add 10.77.0.$i/24 dev eth0
        ip -n $host link set eth0 up
        ip -n $host link set lo up
        mkdir -p /etc/netns/$host
        { echo "127.0.0.1 localhost"; for ((j = 1; j <= count; j++)); do echo "10.77.0.$j h$j"; done; } > /etc/netns/$host/hosts
        # This process holds the host's name and its mounts.
        setsid ip netns exec $host unshare --uts --mount sh -c \
            "hostname h$i && mount -t tmpfs tmpfs /dev/shm && echo \$\$ > '$state/h$i' && exec sleep infinity" \
            < /dev/null > /dev/null 2>&1 &
    done
    for ((i = 1; i <= count; i++)); do
        for ((tries = 0; tries < 100; tries++)); do [ -s "$state/h$i" ] && break; sleep 0.05; done
        [ -s "$state/h$i" ]
    done
    ;;
down)
    for ((i = 1; i <= count; i++)); do
        [ -s "$state/h$i" ] && kill "$(cat "$state/h$i")" || true
        ip netns del osn-h$i || true
        rm -rf /etc/netns/osn-h$i "$state/h$i"
    done
    ip netns del osn-switch || true
    ;;
esac
