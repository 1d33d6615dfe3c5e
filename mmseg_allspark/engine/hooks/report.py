"""ReportHook: the run as one HTML page, there to be opened while it trains and when it has ended."""

import json
import os
import platform
import subprocess
from pathlib import Path

import mmcv
import mmengine
import mmseg
import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.runner import Runner
from mmseg.registry import HOOKS

import mmseg_allspark
from mmseg_allspark.engine.hooks.drawing import DrawingHook
from mmseg_allspark.report import write_report

FACTS = "facts.json"  # in the run's time-stamped folder


@HOOKS.register_module()
class ReportHook(DrawingHook):
    """Writes ``<work_dir>/report.html`` after every validation and at the end, and at the start what the run runs on.

    ``tools/analysis/report.py`` makes the same page of a work directory at any time. A report that fails is a warning
    in the log and not the end of a training.
    """

    priority = "LOWEST"  # after the hooks whose figures it shows

    _has_files = False  # nor before a training: a validation alone has no report

    def before_train(self, runner: Runner) -> None:
        """Write versions, commit, hardware and length of the training, which no other file has."""
        if not is_main_process():
            return
        self._has_files = (Path(runner.log_dir) / "vis_data").is_dir()
        if self._has_files:
            facts = dict(max_iters=runner.max_iters, **collect_facts())
            (Path(runner.log_dir) / FACTS).write_text(json.dumps(facts))
        else:
            runner.logger.warning(
                "ReportHook: no report without LocalVisBackend in visualizer.vis_backends, nor with visualizer.name="
                f"{runner.visualizer.instance_name!r} if an earlier training in this process has used this name: its "
                "files get the figures of this one. Leave the name out."
            )

    def after_train(self, runner: Runner) -> None:
        """Note where the training ended, which may be early, and write the page."""
        if self._has_files:
            path = Path(runner.log_dir) / FACTS
            path.write_text(json.dumps(dict(json.loads(path.read_text()), ended_at=runner.iter)))
            self.after_val_epoch(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the page, if there are files to read."""
        if self._has_files:
            with self.drawing(runner):
                write_report(Path(runner.work_dir))


def collect_facts() -> dict[str, str | int]:
    """Versions, commit and hardware of this process."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    modules = (mmseg_allspark, mmseg, mmcv, mmengine, torch)
    versions = [f"{module.__name__} {module.__version__}" for module in modules] + [
        f"Python {platform.python_version()}"
    ]
    hardware = [f"{get_world_size()} process(es)", device, f"{os.cpu_count()} CPU cores"]
    hardware.append(f"{torch.get_num_threads()} threads")
    return dict(versions=", ".join(versions), commit=_commit(), hardware=", ".join(hardware))


def _commit() -> str:
    """The checkout's commit, '-dirty' where files were changed; empty outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
