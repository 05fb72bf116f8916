#!/usr/bin/env bash
# RUSTC_WRAPPER for the targets that need Burn: Burn and the linear algebra below it are not instrumented. One
# crate of it would take half an hour and 5 GB of memory, and tell nothing about osn.
set -euo pipefail
rustc=$1
shift
name=
arguments=()
for argument in "$@"; do
    [[ "${previous:-}" != --crate-name ]] || name=$argument
    previous=$argument
    case $argument in
        -Cpasses=sancov-module | -Cllvm-args=* | -Ccodegen-units=1) ;;
        *) arguments+=("$argument") ;;
    esac
done
case $name in
    burn | burn_* | cubecl_* | gemm | gemm_* | macerator | faer) exec "$rustc" "${arguments[@]}" ;;
    *) exec "$rustc" "$@" ;;
esac
