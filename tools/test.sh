#!/usr/bin/env bash
# Run the tests, after setting up the environment they need (tools/setup_env.sh, whose variables apply here too).
#   tools/test.sh [--slow] [--stack fork|upstream] [arguments of pytest]
# --slow also runs the tests marked slow. Without a path or pytest's own -n, the tests share the cores (pytest-xdist).

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
STACK=fork
SELECT=(-m "not slow")
ARGS=()
SPREAD=1
while [ $# -gt 0 ]; do
    case "$1" in
        --slow) SELECT=() ;;
        --stack) STACK="${2:-}"; shift ;;
        --stack=*) STACK="${1#*=}" ;;
        -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 0 ;;
        -m | -m=*) SELECT=(); ARGS+=("$1") ;;
        -n* | --numprocesses* | --pdb | --dist*) SPREAD=0; ARGS+=("$1") ;;
        *)
            # naming a file means few tests: starting workers would take longer than running them
            if [ -e "${1%%::*}" ] || [ -e "$ROOT/${1%%::*}" ]; then SPREAD=0; fi
            ARGS+=("$1")
            ;;
    esac
    shift
done

PY="$(bash "$ROOT/tools/setup_env.sh" --tests --stack "$STACK")"

# one thread per process: on few cores, several multi-threaded processes slow each other down many times over
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
export MPLBACKEND="${MPLBACKEND:-Agg}"
if [ "$SPREAD" = 1 ]; then
    CORES="$("$PY" -c 'import os; print(min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 4))')"
    ARGS+=(-n "$CORES" --dist loadfile)
fi
cd "$ROOT"
exec "$PY" -m pytest ${SELECT[@]+"${SELECT[@]}"} ${ARGS[@]+"${ARGS[@]}"}
