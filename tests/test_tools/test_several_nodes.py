"""Two nodes of one rank each: on loopback, and through a stand-in for Slurm's srun."""

import subprocess

import pytest
import torch
from builders import ROOT
from two_ranks import free_port

# Starts the tasks on this machine, as one node each; ends with the first bad exit code.
SRUN = """#!/usr/bin/env bash
while [ $# -gt 0 ]; do
    case "$1" in
        --ntasks=*) tasks="${1#*=}" ;;
        --ntasks-per-node=*) per_node="${1#*=}" ;;
        -p) shift ;;
        -*) ;;
        *) break ;;
    esac
    shift
done
export SLURM_NTASKS="$tasks" SLURM_NODELIST="node[0-1]"
for ((rank = 0; rank < tasks; rank++)); do
    SLURM_PROCID=$rank SLURM_LOCALID=$((rank % per_node)) "$@" & tasks_started+=($!)
done
for task in "${tasks_started[@]}"; do wait "$task" || exit; done
"""
SCONTROL = """#!/usr/bin/env bash
[ "$*" = "show hostname node[0-1]" ] && printf "localhost\\nnode1\\n"
"""


@pytest.fixture
def environment(cpu_environment):
    """That of a node; outer SLURM_* variables would answer for the stand-in."""
    names = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "GPUS", "GPUS_PER_NODE")
    return {
        name: value for name, value in cpu_environment.items() if name not in names and not name.startswith("SLURM")
    }


def on_two_nodes(script, *arguments, cwd, env):
    """Start the script once per node, each with one rank; return what node 0 printed."""
    command = ["bash", str(ROOT / "tools" / script), *map(str, arguments)]
    variables = {"MASTER_ADDR": "127.0.0.1", "PORT": str(free_port()), "NNODES": "2"}
    nodes = []
    try:
        for rank in range(2):
            node = env | variables | {"NODE_RANK": str(rank)}
            options = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            nodes.append(subprocess.Popen(command, cwd=cwd, env=node, **options))
        outputs = [node.communicate(timeout=300)[0] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    for node, output in zip(nodes, outputs, strict=True):
        assert node.returncode == 0, output[-6000:]
    return outputs[0]


def assert_trained_together(work_dir):
    first, second = (torch.load(work_dir / f"rank{rank}.pth") for rank in range(2))
    own = "backbone.layers.1.running_mean"  # batch norm is per process: each saw its own images
    assert not torch.equal(first[own], second[own])
    weights = [name for name in first if not name.endswith(("running_mean", "running_var"))]
    assert weights
    for name in weights:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.slow
def test_two_nodes_train_one_model(tiny_project, environment):
    work_dir = tiny_project / "two nodes"
    output = on_two_nodes("dist_train.sh", "tiny.py", 1, "--work-dir", work_dir, cwd=tiny_project, env=environment)
    assert "2 processes run on the CPU with gloo" in output
    assert_trained_together(work_dir)


@pytest.mark.slow
def test_slurm_tasks_train_one_model(tiny_project, environment, tmp_path):
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    work_dir = tiny_project / "two tasks"
    env = environment | {"PATH": f"{tmp_path}:{environment['PATH']}", "GPUS": "2", "GPUS_PER_NODE": "1"}
    command = ["bash", ROOT / "tools/slurm_train.sh", "partition", "job", "tiny.py", "--work-dir", work_dir]
    process = subprocess.run(
        [*map(str, command)], cwd=tiny_project, env=env, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, (process.stdout + process.stderr)[-6000:]
    assert_trained_together(work_dir)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (dict(NNODES="2"), "NODE_RANK='' MASTER_ADDR=''"),
        (dict(NNODES="2", NODE_RANK="2", MASTER_ADDR="10.0.0.1"), "got '2'"),
        (dict(NNODES="two"), "got 'two'"),
    ],
)
def test_nodes_that_would_wait_for_ever_are_refused(variables, message, tiny_project, environment):
    command = ["bash", str(ROOT / "tools/dist_train.sh"), "tiny.py", "1"]
    env = environment | variables
    process = subprocess.run(command, cwd=tiny_project, env=env, capture_output=True, text=True, timeout=30)
    assert process.returncode == 2
    assert message in process.stderr
    assert "tools/dist_train.sh CONFIG GPUS" in process.stderr
