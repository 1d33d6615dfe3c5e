#!/usr/bin/env bash
# See AllSpark at work: makes the environment and the embedded data set, trains supervised-only and AllSpark on the
# same few labels, and ends with a table and a picture. About 4 minutes on 2 cores after the installation.
#   bash tools/quickstart.sh [--seed 0] [--steps N] [--work-dir work_dirs/quickstart]
# MMSEG_ALLSPARK_PYTHON=/path/to/python uses an environment that already has torch and the mm* packages.

set -euo pipefail
for argument in "$@"; do  # a typing error costs no installation
    case "$argument" in
        --seed | --steps | --work-dir | --data-root | -h | --help | --*=*) ;;
        --*)
            echo "quickstart: unknown option $argument (known: --seed, --steps, --work-dir, --data-root)" >&2
            exit 2
            ;;
    esac
done
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PY="$(bash "$ROOT/tools/setup_env.sh")"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "$PY" "$ROOT/tools/quickstart.py" "$@"
