"""One of two ranks fails: both end soon, and both say which one it was and why."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from builders import ROOT, loader_config, run_config, write_data
from mmengine.config import Config
from torch import distributed as dist
from two_ranks import free_port, start_ranks

from mmseg_allspark.utils import rank_failure
from mmseg_allspark.utils.distributed import prepare_cpu_distributed, shutdown_distributed
from mmseg_allspark.utils.rank_failure import failing_together

EXTRA = """
import os, signal
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class KillHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 2 and get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
"""
LIMIT = 60  # seconds until all ranks have ended
REASON = "img7.png is broken"


def work(rank, failing, how, blind):
    """Fail on one rank; the other waits for it, ``blind`` in a way that notices nothing (as NCCL)."""
    rank_failure.PATIENCE, rank_failure.GRACE = 4.0, 1.0
    prepare_cpu_distributed(Config(), "pytorch")
    with failing_together():
        dist.barrier()
        if rank == failing:
            if how == "raise":
                raise ValueError(REASON)
            os.kill(os.getpid(), signal.SIGKILL)
        if blind:
            time.sleep(LIMIT)
        dist.all_reduce(torch.zeros(1))
    shutdown_distributed()


def end(processes, limit=LIMIT):
    """Wait for the end of all, at most ``limit`` seconds, and return their exit codes."""
    deadline = time.monotonic() + limit
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    alive = [process.is_alive() for process in processes]
    for process in processes:
        process.kill()
    assert not any(alive), f"still alive after {limit} s: {alive}"
    return [process.exitcode for process in processes]


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("failing", [0, 1])
def test_an_exception_is_told_to_the_other_rank(tmp_path, failing, blind):
    codes = end(start_ranks(work, failing, "raise", blind, log=tmp_path / "log"))
    assert codes == [1, 1]
    own, other = ((tmp_path / f"log{rank}").read_text() for rank in (failing, 1 - failing))
    message = rf"Rank {failing} \(.*process \d+\) failed: ValueError: {REASON}"
    assert re.search(message, own)
    assert f"ValueError: {REASON}" in own.splitlines()[-1]
    assert re.search(message + rf"\nRank {1 - failing} ends too", other)
    if not blind:
        assert re.search(f"RankFailedError: {message}", other.splitlines()[-1])


@pytest.mark.parametrize("failing", [0, 1])
def test_a_killed_rank_is_noticed(tmp_path, failing):
    codes = end(start_ranks(work, failing, "kill", False, log=tmp_path / "log"))
    assert codes[failing] == -signal.SIGKILL
    assert codes[1 - failing] == 1
    text = (tmp_path / f"log{1 - failing}").read_text()
    assert rank_failure.WITHOUT_A_WORD in text


def test_the_end_of_the_store_is_noticed_by_a_rank_that_waits_for_something_else(tmp_path):
    """Rank 0 holds it."""
    assert end(start_ranks(work, 0, "kill", True, log=tmp_path / "log")) == [-signal.SIGKILL, 1]
    assert "store does not answer, rank 0" in (tmp_path / "log1").read_text()


def work_well(rank):
    rank_failure.GRACE = 0.5
    prepare_cpu_distributed(Config(), "pytorch")
    with failing_together():
        time.sleep(3 * rank)  # rank 0 is done before
    shutdown_distributed()


def test_ranks_that_end_at_different_times_disturb_nobody(tmp_path):
    assert end(start_ranks(work_well, log=tmp_path / "log")) == [0, 0]
    assert "ends too" not in (tmp_path / "log1").read_text()


def test_one_process_has_nothing_to_watch():
    with pytest.raises(ValueError, match="own"), failing_together():
        raise ValueError("own")


def failing_run(folder, how):
    """Write data and config of a run in which rank 1 fails, and return the file that it may not be able to read."""
    data = write_data(folder, unlabeled=12)
    loaders = {name: loader_config(data, name, num_workers=1) for name in ("labeled", "unlabeled")}
    loaders["unlabeled"]["sampler"]["shuffle"] = False
    loaders["unlabeled"]["dataset"]["pipeline"][0] = dict(type="LoadImage", unreadable="stop")  # default: skipped
    cfg = run_config(
        data,
        folder / "run",
        loop=dict(max_iters=100, unlabeled_dataloader=loaders["unlabeled"]),
        train_dataloader=loaders["labeled"],
        custom_hooks=[dict(type="KillHook")] if how == "kill" else [],
        custom_imports=dict(imports=["mmseg_allspark", *(["extra"] if how == "kill" else [])]),
    )
    cfg.dump(folder / "config.py")
    (folder / "extra.py").write_text(EXTRA)
    broken = data / "img" / "unlabeled9.png"
    if how == "raise":
        broken.write_bytes(broken.read_bytes()[:100])
    return broken


def launch(folder, launcher):
    """Start the two ranks with ``tools/dist_train.sh``, or as two processes that nobody watches."""
    environment = os.environ | dict(
        PYTHONPATH=f"{ROOT}:{folder}", PYTHON=sys.executable, CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1"
    )
    config = str(folder / "config.py")
    if launcher == "torchrun":
        commands = {"": ["bash", str(ROOT / "tools" / "dist_train.sh"), config, "2"]}
    else:
        commands = {str(rank): [sys.executable, str(ROOT / "tools" / "train.py"), config] for rank in (0, 1)}
        commands = {rank: [*command, "--launcher", "pytorch"] for rank, command in commands.items()}
        environment |= dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()), WORLD_SIZE="2")
    processes = {}
    for rank, command in commands.items():
        own = environment | (dict(RANK=rank, LOCAL_RANK=rank) if rank else {})
        with open(folder / f"log{rank}", "w") as log:
            processes[rank] = subprocess.Popen(command, env=own, stdout=log, stderr=log, start_new_session=True)
    return processes


@pytest.mark.slow
@pytest.mark.parametrize("how", ["raise", "kill"])
@pytest.mark.parametrize("launcher", ["torchrun", "by hand"])
def test_training_ends_and_names_the_failure(tmp_path, launcher, how):
    broken = failing_run(tmp_path, how)
    processes = launch(tmp_path, launcher)
    try:
        codes = {rank: process.wait(LIMIT + 60) for rank, process in processes.items()}  # importing takes its time
    finally:
        for process in processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    logs = {rank: (tmp_path / f"log{rank}").read_text() for rank in processes}
    if how == "raise":
        assert set(codes.values()) == {1}
        for text in logs.values():
            assert re.search(rf"Rank 1 .* failed: .*{broken.name}", text, re.DOTALL)
            assert broken.name in text[-1500:]  # in the last words
    elif launcher == "torchrun":
        assert "exitcode  : -9" in logs[""][-1500:]
        assert "rank      : 1" in logs[""][-1500:]
    else:
        assert codes == {"0": 1, "1": -signal.SIGKILL}
        assert rank_failure.WITHOUT_A_WORD in logs["0"]
