"""What a training or a test says on the console; the log file in its work directory has everything."""

from __future__ import annotations

import logging
import os
import shlex
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MMLogger
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmseg_allspark.datasets.parts import iter_leaves
from mmseg_allspark.engine.checkpoint.resume_point import find_resume_point
from mmseg_allspark.engine.hooks.report import ReportHook
from mmseg_allspark.engine.hooks.start_checks import describe_evaluated, describe_labeler
from mmseg_allspark.report.run_record import read_run
from mmseg_allspark.utils.metric_names import find_best, find_metric, metric_names
from mmseg_allspark.utils.wrappers import bare_model

# what mm* packages say of every run, and nobody can do anything about
HARMLESS = (
    "The draw is False",
    "The show is True",
    "The prefix is not set in metric class",
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    "The shape of value will convert",
    "`broadcast_buffers` is deprecated",
)
PATIENCE = 10.0  # seconds without a line of a validation
_EACH_IMAGE = ("after_val_iter", "after_test_iter")


class ProgressFilter(logging.Filter):
    """Lets through warnings, the lines of ``LoggerHook`` that say how far it is, results, and what this file says.

    Args:
        shows_tables: Whether tables of results, of one line a class, are let through.
    """

    def __init__(self, shows_tables: bool) -> None:
        super().__init__()
        self.shows_tables, self._last = shows_tables, 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the console shows a record."""
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            return not text.startswith(HARMLESS)
        if record.module == "logger_hook" and record.funcName in _EACH_IMAGE:
            is_due = time.monotonic() - self._last > PATIENCE
            self._last = time.monotonic() if is_due else self._last
            return is_due
        is_progress = record.module == "logger_hook" and not text.startswith("Exp name")
        self._last = time.monotonic() if is_progress else self._last
        is_table = self.shows_tables and text.startswith("\n+-")
        return is_progress or is_table or record.module == "_console"


class PlainFormatter(logging.Formatter):
    """Writes the text of a record, with its level from warnings on."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = record.getMessage()  # no traceback, which the log file has
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"


def console_of(logger: MMLogger) -> logging.Handler:
    """What writes a logger's records to the console, from now on as plain lines."""
    handler = next(handler for handler in logger.handlers if type(handler) is logging.StreamHandler)
    handler.setFormatter(PlainFormatter())
    return handler


def begin() -> None:
    """Make warnings one line each, without those that are harmless, and write plain lines; all of it on one rank."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    for text in HARMLESS:
        warnings.filterwarnings("ignore", message=text)
    console = console_of(MMLogger.get_current_instance())
    if int(os.environ.get("RANK", 0)) > 0:
        warnings.simplefilter("ignore")
        console.setLevel(logging.ERROR)


class QuietLogger:
    """For a Runner: its log is quiet on the console from the first line on."""

    shows_tables = False

    def build_logger(self, *args: object, **kwargs: object) -> MMLogger:
        """As the Runner's own."""
        logger = super().build_logger(*args, **kwargs)
        console_of(logger).addFilter(ProgressFilter(self.shows_tables))
        return logger


class StartHook(Hook):
    """Says before the first iteration, when every check has passed, what is trained."""

    priority = "LOWEST"

    def before_train(self, runner: Runner) -> None:
        """Say it."""
        runner.logger.info(describe_start(runner))


def describe_start(runner: Runner) -> str:
    """What is trained on what, with which labels, how it is evaluated, and where the results will be."""
    loop, model, cfg = runner.train_loop, bare_model(runner.model), runner.cfg
    parts = [getattr(model, name, None) for name in ("backbone", "neck", "decode_head")]
    parts = [type(part).__name__ for part in parts if isinstance(part, nn.Module)]
    device, ranks = get_device().replace("cpu", "the CPU"), get_world_size()
    where = device if ranks == 1 else f"{device}, {ranks} processes"
    since = f", from iteration {loop.iter} on," if loop.iter else ""
    by_epoch = getattr(loop, "by_epoch", isinstance(loop, EpochBasedTrainLoop))
    length = f"{loop.max_epochs} epochs of {len(loop.dataloader)}" if by_epoch else str(loop.max_iters)
    is_semi = hasattr(loop, "labeled_dataloader")
    labeled = loop.labeled_dataloader if is_semi else loop.dataloader
    names = (getattr(labeled.dataset, "metainfo", None) or {}).get("classes") or ()
    lines = {
        "model": f"{type(model).__name__} ({', '.join(parts)}), {cfg.filename}",
        "length": f"{length} iterations{since} on {where}",
        "labeled": f"{describe_images(labeled)}, with masks of {len(names)} classes: {shorten(names)}",
    }
    if is_semi:
        lines["unlabeled"] = f"{describe_images(loop.dataloader)}; labels come from {describe_labeler(model, loop)}"
    if runner.val_loop is not None:
        unit = "epochs" if by_epoch else "iterations"
        metric = find_metric(metric_names(cfg) or ()) or "the evaluator's figures"
        lines["validation"] = (
            f"{describe_images(runner.val_loop.dataloader)}: {metric} of {describe_evaluated(runner)}, every "
            f"{loop.val_interval} {unit}"
        )
    has_report = any(isinstance(hook, ReportHook) for hook in runner.hooks)
    lines["results"] = f"{runner.work_dir}" + ("/report.html, from the first validation on" if has_report else "")
    lines["log"] = f"{runner.log_dir}/{runner.timestamp}.log"
    return "\n".join(["Training", *(f"  {name:10s} {text}" for name, text in lines.items())])


def describe_images(loader: DataLoader) -> str:
    """How many images a loader has, and where they are from."""
    with suppress(TypeError):  # data sets of another kind than mmseg's
        leaves = list(iter_leaves(loader.dataset))
        places = [leaf.ann_file or leaf.data_prefix.get("img_path") or leaf.data_root or "" for leaf in leaves]
        places = [place or ", ".join(getattr(leaf, "sources", ())) for place, leaf in zip(places, leaves, strict=True)]
        if any(places):
            return f"{len(loader.dataset)} images of {shorten([place for place in places if place], 2)}"
    return f"{len(loader.dataset)} images"


def shorten(words: Sequence[str], most: int = 12) -> str:
    """The first words of a list."""
    return ", ".join(map(str, words[:most])) + (", ..." if len(words) > most else "")


def describe_end(runner: Runner) -> str:
    """The last and the best validation, the files that were written, and the next command."""
    work_dir = Path(runner.work_dir)
    try:
        curves = read_run(work_dir).metrics
    except FileNotFoundError:  # without LocalVisBackend
        curves = {}
    name, lines = find_metric(curves), {}
    if name is not None:
        curve = curves[name]
        last, best = max(curve), find_best(curve)
        lines[name] = f"{curve[last]:.2f} at the end (iteration {last}), best {curve[best]:.2f} (iteration {best})"
    hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
    best_file = getattr(hook, "best_ckpt_path", None)
    checkpoint = best_file or find_resume_point(work_dir).checkpoint
    if checkpoint is not None:
        lines["checkpoint"] = f"{checkpoint}{' (the best)' if best_file else ''}"
    if (work_dir / "report.html").is_file():
        lines["report"] = str(work_dir / "report.html")
    if checkpoint is not None:
        command = ["python", "tools/infer.py", "-", str(checkpoint), "IMAGES", "--out", "results"]
        lines["next"] = shlex.join(command)
    return f"Finished after {runner.iter} iterations\n" + "\n".join(
        f"  {key:10s} {text}" for key, text in lines.items()
    )


def describe_stop(work_dir: str, resumes: bool) -> str:
    """How to go on after Ctrl-C."""
    point = find_resume_point(work_dir)
    if point.checkpoint is None:
        return "Stopped before the first checkpoint: the same command starts anew."
    more = "" if resumes else " with --resume"
    return f"Stopped. The same command{more} goes on from {point.checkpoint}."
