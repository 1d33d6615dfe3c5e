#!/usr/bin/env bash
# Evaluate a checkpoint on a Slurm cluster.
#   tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]
# Environment: GPUS (4, of all nodes together), GPUS_PER_NODE (4, or GPUS when smaller), CPUS_PER_TASK (5), PORT (a
# random one), SRUN_ARGS (further srun arguments), PYTHON.

set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"

[ $# -ge 4 ] || usage_and_exit
PARTITION="$1" JOB_NAME="$2"
shift 2
launch_slurm "$PARTITION" "$JOB_NAME" test.py "$@"
