#!/usr/bin/env bash
# Evaluate a checkpoint with several processes: one per GPU, or CPU ranks on a machine without a GPU.
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
# Several nodes: the same command on each, GPUS being those of one node, with NNODES, NODE_RANK and MASTER_ADDR.
# Environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (a free one; 29500 for several nodes), PYTHON.

set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"

[ $# -ge 3 ] || usage_and_exit
CONFIG="$1" CHECKPOINT="$2" GPUS="$3"
shift 3
require_count "$GPUS"
launch_distributed "$GPUS" test.py "$CONFIG" "$CHECKPOINT" "$@"
