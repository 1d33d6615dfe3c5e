# shellcheck shell=bash
# Sourced by the launch scripts: sets TOOLS_DIR, PYTHON (which interpreter to use) and PYTHONPATH (this checkout).
# PYTHON or MMSEG_ALLSPARK_PYTHON from the caller wins; then an activated environment; then the project's own .venv.

TOOLS_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
_project_venv="${MMSEG_ALLSPARK_VENV:-$TOOLS_DIR/../.venv}"

if [ -n "${PYTHON:-${MMSEG_ALLSPARK_PYTHON:-}}" ]; then
    PYTHON="${PYTHON:-$MMSEG_ALLSPARK_PYTHON}"
elif [ -n "${VIRTUAL_ENV:-}" ] || [ "${CONDA_DEFAULT_ENV:-base}" != base ]; then
    PYTHON=python
elif [ -x "$_project_venv/bin/python" ]; then
    PYTHON="$_project_venv/bin/python"
else
    PYTHON=python3
fi

# A multi-line usage error in one place: the first comment block of the calling script is its help.
usage_and_exit() {
    sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0" >&2
    exit 2
}

require_count() {
    case "$1" in
        '' | *[!0-9]* | 0) echo "${2:-GPUS} must be a positive number of processes, got '$1'" >&2; usage_and_exit ;;
    esac
}

# Ranks that are not told apart, or look for each other in different places, would wait for half an hour.
require_node() {
    case "${NNODES:-1}" in
        *[!0-9]* | 0) echo "NNODES must be a positive number of nodes, got '$NNODES'" >&2; usage_and_exit ;;
        1) return ;;
    esac
    if [ -z "${NODE_RANK:-}" ] || [ -z "${MASTER_ADDR:-}" ]; then
        echo "NNODES=$NNODES needs NODE_RANK (0 to $((NNODES - 1)), another on each node) and MASTER_ADDR (of node 0)," \
            "got NODE_RANK='${NODE_RANK:-}' MASTER_ADDR='${MASTER_ADDR:-}'" >&2
        usage_and_exit
    fi
    case "$NODE_RANK" in *[!0-9]*) false ;; *) [ "$NODE_RANK" -lt "$NNODES" ] ;; esac || {
        echo "NODE_RANK must be a number from 0 to NNODES - 1 = $((NNODES - 1)), got '$NODE_RANK'" >&2
        usage_and_exit
    }
}

# mmengine formats configs with yapf, which writes a cache at its first use: ranks that do so at once read half a file.
write_yapf_cache() { "$PYTHON" -c 'import yapf.yapflib.yapf_api' 2>/dev/null || true; }

# launch_distributed GPUS SCRIPT ARGS...: one process per GPU (or per CPU rank) of this node.
launch_distributed() {
    local gpus="$1" script="$2"
    shift 2
    require_node
    write_yapf_cache
    local nodes="${NNODES:-1}" port="${PORT:-}"
    if [ -z "$port" ] && [ "$nodes" = 1 ]; then
        # two jobs on one machine must not meet on the same port
        port="$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')"
    fi
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
    export PYTHONPATH="$TOOLS_DIR/..${PYTHONPATH:+:$PYTHONPATH}"
    exec "$PYTHON" -m torch.distributed.run \
        --nnodes="$nodes" \
        --node_rank="${NODE_RANK:-0}" \
        --master_addr="${MASTER_ADDR:-127.0.0.1}" \
        --master_port="${port:-29500}" \
        --nproc_per_node="$gpus" \
        "$TOOLS_DIR/$script" "$@" --launcher pytorch
}

# launch_slurm PARTITION JOB_NAME SCRIPT ARGS...: one Slurm task per GPU.
launch_slurm() {
    local partition="$1" job="$2" script="$3"
    shift 3
    local gpus="${GPUS:-4}"
    require_count "$gpus"  # before bash reckons with it
    local per_node="${GPUS_PER_NODE:-$((gpus < 4 ? gpus : 4))}"
    require_count "$per_node" GPUS_PER_NODE
    write_yapf_cache
    export PYTHONPATH="$TOOLS_DIR/..${PYTHONPATH:+:$PYTHONPATH}"
    # the same for all tasks, another for another job: jobs may share a node
    export MASTER_PORT="${PORT:-${MASTER_PORT:-$((20000 + RANDOM % 10000))}}"
    # SRUN_ARGS is a list of words on purpose
    # shellcheck disable=SC2086
    exec srun -p "$partition" \
        --job-name="$job" \
        --gres="gpu:$per_node" \
        --ntasks="$gpus" \
        --ntasks-per-node="$per_node" \
        --cpus-per-task="${CPUS_PER_TASK:-5}" \
        --kill-on-bad-exit=1 \
        ${SRUN_ARGS:-} \
        "$PYTHON" -u "$TOOLS_DIR/$script" "$@" --launcher slurm
}
