"""Two processes with gloo on the CPU, forked from one that has imported everything."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from builders import leave_config_text_plain
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_allspark.utils.distributed import prepare_cpu_distributed, shutdown_distributed

PATIENCE = 300  # seconds, on a crowded machine


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_ranks(work: Callable, *arguments: object, log: Path | None = None) -> list[BaseProcess]:
    """Start ``work(rank, *arguments)`` twice, with nothing of a process group but the environment that torchrun gives.

    What a rank writes to stdout and stderr goes to ``<log><rank>``.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "mmseg_allspark"])
    port = free_port()
    processes = [context.Process(target=_start, args=(rank, port, log, work, arguments)) for rank in (0, 1)]
    for process in processes:
        process.start()
    return processes


def _start(rank: int, port: int, log: Path | None, work: Callable, arguments: tuple) -> None:
    if log is not None:
        stream = os.open(f"{log}{rank}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
    torch.set_num_threads(1)
    address = dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", CUDA_VISIBLE_DEVICES="", **address)
    init_default_scope("mmseg")
    leave_config_text_plain(pytest.MonkeyPatch())
    work(rank, *arguments)


def run_ranks(work: Callable, *arguments: object) -> None:
    """Run ``work(rank, *arguments)`` in a process group of two and wait for its end."""
    processes = start_ranks(_in_group, work, arguments)
    for process in processes:
        process.join(PATIENCE)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0, 0], codes


def _in_group(rank: int, work: Callable, arguments: tuple) -> None:
    prepare_cpu_distributed(Config(), "pytorch")
    work(rank, *arguments)
    shutdown_distributed()
