"""``tools/self_training.py`` is killed in each of its stages, and ends where an undisturbed run ends, bit by bit."""

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
from collections import Counter

import pytest
import torch
from builders import ROOT, leave_config_text_plain
from mmengine.config import Config
from mmengine.runner import ValLoop
from test_engine.random_runs import AUGMENTED, PIPELINES, assert_same_weights
from test_methods.test_stpp import stage_config

from mmseg_allspark.engine import PseudoLabelLoop, SupervisedLoop
from mmseg_allspark.inference import SegInferencer

PATIENCE = 300  # seconds for one start
TRAININGS = ("supervised", "retrain_reliable", "retrain_all")
# what a start is killed before: the how manieth of its training steps, validations, predictions or written files
KILLS = [
    ("step of supervised", 2),
    ("validation of supervised", 1),
    ("prediction", 5),  # ranking: the second image by the second of three models
    ("reliable.txt", 1),
    ("label", 2),
    ("step of retrain_reliable", 2),
    ("label", 2),
    ("step of retrain_all", 3),
    ("validation of retrain_all", 1),
    ("retrain_all", 1),  # the file that says it is done
]


def run_tool(argv, log, moment):
    """In a group of processes of its own, which is killed at a moment; all output goes to a file."""
    os.setsid()
    torch.set_num_threads(1)
    seen = Counter()

    def tick(name):
        seen[name] += 1
        if (name, seen[name]) == moment:
            os.killpg(0, signal.SIGKILL)

    def ticking(function, name):
        return lambda *arguments, **options: tick(name(*arguments)) or function(*arguments, **options)

    patch, fork = pytest.MonkeyPatch(), multiprocessing.get_context("fork")
    leave_config_text_plain(patch)
    sys.path.insert(0, str(ROOT / "tools"))
    tool, train = (importlib.import_module(name) for name in ("self_training", "train"))
    for loop, what in ((PseudoLabelLoop, "run_step"), (SupervisedLoop, "run_step"), (ValLoop, "run")):
        word = "validation" if loop is ValLoop else "step"
        name = lambda self, *_, word=word: f"{word} of {os.path.basename(self.runner.work_dir)}"  # noqa: E731
        patch.setattr(loop, what, ticking(getattr(loop, what), name))
    patch.setattr(
        tool, "write_whole", ticking(tool.write_whole, lambda _, path: "label" * (path.suffix == ".png") or path.name)
    )
    stream = SegInferencer.stream
    patch.setattr(
        SegInferencer,
        "stream",
        lambda *args, **options: (tick("prediction") or one for one in stream(*args, **options)),
    )

    def run_training(path, folder, gpus):
        """As the tool does, in a process of its own, without the time that imports take."""
        process = fork.Process(target=train.main, args=([str(path), "--work-dir", str(folder), "--resume"],))
        process.start()
        process.join()
        return process.exitcode

    patch.setattr(tool, "run_training", run_training)
    with open(log, "a", buffering=1) as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        raise SystemExit(tool.main(argv))


@pytest.fixture(scope="module")
def start():
    """Run the tool to its end or its moment, in a fork of a process that has imported everything; the exit code."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "mmseg_allspark", "mmseg_allspark.inference", "mmseg.apis"])

    def start(config, work_dir, moment=None):
        argv = [str(config), "--work-dir", str(work_dir), "--device", "cpu"]
        process = context.Process(target=run_tool, args=(argv, f"{work_dir}.log", moment))
        process.start()
        process.join(PATIENCE)
        return process.exitcode

    return start


def random_config(data, folder):
    """Three trainings with everything random in them, and a checkpoint at each step."""
    path = stage_config(data, folder)
    cfg = Config.fromfile(path)
    cfg.train_dataloader.dataset.pipeline = PIPELINES["labeled"]
    steps = cfg.unlabeled_dataloader.dataset.pipeline
    cfg.unlabeled_dataloader.dataset.pipeline = [*steps[:2], *AUGMENTED[2:], *steps[2:]]
    cfg.model.decode_head.dropout_ratio = 0.1
    cfg.default_hooks.checkpoint.interval = 1
    cfg.default_hooks.ema = dict(type="EMAHook", momentum=0.3, update_buffers=True)
    cfg.dump(path)
    return path


def files_of(work_dir):
    """What the stages hand on, by path; times and logs are not among it."""
    paths = [
        path for path in work_dir.rglob("*") if path.suffix in (".txt", ".png", ".csv") and "vis_data" not in str(path)
    ]
    return {str(path.relative_to(work_dir)): path.read_bytes() for path in paths}


@pytest.mark.slow
def test_killed_in_any_stage_it_ends_where_the_undisturbed_run_ends(start, data, tmp_path):
    config, whole, killed = random_config(data, tmp_path), tmp_path / "whole", tmp_path / "killed"
    assert start(config, whole) == 0, (tmp_path / "whole.log").read_text()[-3000:]
    for moment in KILLS:
        assert start(config, killed, moment) == -signal.SIGKILL, (moment, (tmp_path / "killed.log").read_text()[-3000:])
    assert start(config, killed) == 0, (tmp_path / "killed.log").read_text()[-3000:]
    assert files_of(killed) == files_of(whole)
    for training in TRAININGS:
        names = [sorted(path.name for path in (folder / training).glob("*.pth")) for folder in (killed, whole)]
        assert names[0] == names[1]
        first, second = (torch.load(folder / training / "iter_3.pth", weights_only=False) for folder in (killed, whole))
        assert_same_weights(first, second)
