#!/usr/bin/env bash
# Train with several processes: one per GPU, or CPU ranks on a machine without a GPU.
#   tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# Several nodes: the same command on each, GPUS being those of one node, with NNODES, NODE_RANK and MASTER_ADDR.
# Environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (a free one; 29500 for several nodes), PYTHON.

set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"

[ $# -ge 2 ] || usage_and_exit
CONFIG="$1" GPUS="$2"
shift 2
require_count "$GPUS"
launch_distributed "$GPUS" train.py "$CONFIG" "$@"
