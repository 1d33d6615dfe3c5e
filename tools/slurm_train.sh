#!/usr/bin/env bash
# Train on a Slurm cluster.
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
# Environment: GPUS (4, of all nodes together), GPUS_PER_NODE (4, or GPUS when smaller), CPUS_PER_TASK (5), PORT (a
# random one), SRUN_ARGS (further srun arguments), PYTHON.

set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"

[ $# -ge 3 ] || usage_and_exit
PARTITION="$1" JOB_NAME="$2"
shift 2
launch_slurm "$PARTITION" "$JOB_NAME" train.py "$@"
