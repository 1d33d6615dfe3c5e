"""``tools/train.py`` is killed at random moments, again and again, and ends where an undisturbed run ends."""

import contextlib
import importlib
import multiprocessing
import os
import random
import signal
import sys
import time

import pytest
import torch
from builders import ROOT, leave_config_text_plain, run_config, write_data
from test_engine.random_runs import assert_same_run, random_options

KILLS = int(os.environ.get("MMSEG_ALLSPARK_KILLS", "50"))
STEPS = 8
PATIENCE = 1200  # seconds for one run
SLOWER = 0.02  # seconds that a flush to the disk takes longer, so that a good share of the kills hits one


def run_tool(argv, log):
    """In a process of its own: the tool as its command line starts it, with all output in a file."""
    sys.path.insert(0, str(ROOT / "tools"))
    torch.set_num_threads(1)
    flush = os.fsync
    os.fsync = lambda stream: (time.sleep(SLOWER), flush(stream))
    with open(log, "a", buffering=1) as stream, contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        leave_config_text_plain(pytest.MonkeyPatch())
        importlib.import_module("train").main(argv)


@pytest.fixture(scope="module")
def start():
    """Start the tool in a fork of a process that has imported everything and computed nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "mmseg_allspark"])

    def start(config, work_dir):
        argv = [str(config), "--work-dir", str(work_dir), "--resume"]
        process = context.Process(target=run_tool, args=(argv, f"{work_dir}.log"))
        process.start()
        return process

    return start


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    """Config files with a checkpoint at every step, of which one is kept, by the number of workers."""
    data = write_data(tmp_path_factory.mktemp("data"), labeled=3, unlabeled=5)
    files = {}
    for workers in (0, 2):
        options = random_options(data, workers, max_iters=STEPS, val_interval=3)
        hook = dict(type="CheckpointHook", by_epoch=False, interval=1, max_keep_ckpts=1, save_best="mIoU")
        options["default_hooks"] = dict(checkpoint=dict(hook, rule="greater"))
        files[workers] = data / f"config{workers}.py"
        run_config(data, data, validate=True, **options).dump(files[workers])
    return files


def wait_for_the_moment(process, work_dir, rng, duration):
    """Wait for a time or, every other time, for a file that is being written."""
    if rng.random() < 0.5:
        process.join(rng.uniform(0, duration))
        return
    writes = rng.randint(1, 12)
    seen, before = 0, None
    while process.is_alive() and seen < writes:
        now = next((path.name for path in work_dir.glob(".*.pth")), None)
        seen, before = seen + (now is not None and now != before), now
        time.sleep(0.001)
    time.sleep(rng.uniform(0, SLOWER / 2))


def finish(process, work_dir):
    """Wait for the end of a run and return its last checkpoint and the names of all."""
    process.join(PATIENCE)
    log = work_dir.with_name(work_dir.name + ".log")
    assert process.exitcode == 0, log.read_text()[-3000:]
    names = sorted(path.name for path in work_dir.glob("*.pth*"))
    return torch.load(work_dir / f"iter_{STEPS}.pth", weights_only=False), names


@pytest.mark.slow
def test_killed_and_resumed_runs_end_where_the_undisturbed_run_ends(start, configs, tmp_path, capsys):
    for workers in (0, 2):  # the first is slow: it imports
        begin = time.monotonic()
        work_dir = tmp_path / f"undisturbed{workers}"
        expected, files = finish(start(configs[workers], work_dir), work_dir)
        duration = time.monotonic() - begin
    assert len(files) == 2, files  # the last and the best
    rng = random.Random(0)
    kills = hits = runs = 0
    while kills < KILLS:
        runs += 1
        work_dir, config = tmp_path / f"run{runs}", configs[2 if runs % 3 == 0 else 0]
        process = start(config, work_dir)
        while kills < KILLS:
            wait_for_the_moment(process, work_dir, rng, duration)
            process.kill()
            process.join()
            if process.exitcode != -signal.SIGKILL:
                break  # it was faster
            kills += 1
            hits += any(work_dir.glob(".*.pth"))
            process = start(config, work_dir)
        got, left = finish(process, work_dir)
        assert left == files
        assert_same_run(got, expected)
        assert got["message_hub"]["runtime_info"]["best_score"] == expected["message_hub"]["runtime_info"]["best_score"]
    with capsys.disabled():
        sys.stdout.write(f"\n{kills} kills in {runs} runs, {hits} while a file was being written\n")
    assert hits >= KILLS // 5
