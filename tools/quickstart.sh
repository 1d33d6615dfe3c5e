#!/usr/bin/env bash
# See AllSpark at work: makes the environment and the embedded data set, trains supervised-only and AllSpark on the
# same few labels, and ends with a table and a picture.
#   bash tools/quickstart.sh [--seed 0] [--steps N] [--work-dir work_dirs/quickstart] [--data-root data/synthetic]
# --seed       seed of the training (default: 0)
# --steps      training steps of each run (default: those of the README's table); fewer are a quicker look
# --work-dir   where the runs go, each in a folder of its own with a report.html
# --data-root  where the data set is made
# Environment:
#   MMSEG_ALLSPARK_PYTHON  use this python's environment, which has torch and the mm* packages, and install nothing
#   TORCH_INDEX_URL        package index for torch alone, such as one with small CPU-only builds
#   more of them: bash tools/setup_env.sh --help
# Time: the first start installs (minutes, by the network); then about 10 minutes on 2 cores.
# Disk: .venv takes about 2 GB with a CPU build of torch, several GB with a CUDA build; data and runs under 0.2 GB.

set -euo pipefail
for argument in "$@"; do  # neither help nor a typing error costs an installation
    case "$argument" in
        -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        --seed | --steps | --work-dir | --data-root | --seed=* | --steps=* | --work-dir=* | --data-root=*) ;;
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
