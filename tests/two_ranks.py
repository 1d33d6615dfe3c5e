"""Two processes with gloo on the CPU, forked from one that has imported everything."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable

import pytest
import torch
from builders import leave_config_text_plain
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmseg_allspark.utils.distributed import prepare_cpu_distributed, shutdown_distributed

PATIENCE = 300  # seconds, on a crowded machine


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def build_runner(cfg: Config) -> Runner:
    """Build the Runner of this rank."""
    prepare_cpu_distributed(cfg, "pytorch")
    return Runner.from_cfg(cfg)


def train(cfg: Config) -> Runner:
    """Train in this rank and return its Runner."""
    runner = build_runner(cfg)
    runner.train()
    return runner


def run_ranks(work: Callable, *arguments: object) -> None:
    """Run ``work(rank, *arguments)`` in a process group of two and wait for its end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "mmseg_allspark"])
    port = free_port()
    processes = [context.Process(target=_start, args=(rank, port, work, arguments)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0, 0], codes


def _start(rank: int, port: int, work: Callable, arguments: tuple) -> None:
    torch.set_num_threads(1)
    address = dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", CUDA_VISIBLE_DEVICES="", **address)
    init_default_scope("mmseg")
    leave_config_text_plain(pytest.MonkeyPatch())
    prepare_cpu_distributed(Config(), "pytorch")
    work(rank, *arguments)
    shutdown_distributed()
