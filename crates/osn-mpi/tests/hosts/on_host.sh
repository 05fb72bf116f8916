#!/bin/bash
# on_host.sh [OPTIONS OF SSH] HOST COMMAND...: runs a command on a host of hosts.sh, in the place of ssh.
set -euo pipefail
while [[ $1 == -* ]]; do
    case $1 in -l | -p | -o | -i | -S) shift ;; esac
    shift
done
host=${1#*@}
shift
[[ ${1:-} == -- ]] && shift
exec nsenter --target "$(cat "${TMPDIR:-/tmp}/osn-hosts/$host")" --net --uts --mount -- /bin/sh -c "$*"
