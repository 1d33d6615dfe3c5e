"""Several trainings: one after the other in a process, and two that want the same work directory."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from builders import train

from mmseg_allspark.utils.work_dir_lock import LOCK, only_training_in

HOLDER = """
import sys, time
from mmseg_allspark.utils.work_dir_lock import only_training_in
with only_training_in(sys.argv[1]):
    print("holds it", flush=True)
    time.sleep(60)
"""


def logged_iterations(work_dir):
    (path,) = work_dir.glob("*/vis_data/scalars.json")
    entries = map(json.loads, path.read_text().splitlines())
    return [entry["iter"] for entry in entries if "iter" in entry]


@pytest.fixture
def tiny(tiny_project, monkeypatch, load_tool):
    """A function that trains ``tiny.py`` in this process."""
    monkeypatch.syspath_prepend(str(tiny_project))

    def run(work_dir):
        options = ["default_hooks.report.type=ReportHook", "default_hooks.logger.interval=2", "train_cfg.max_iters=2"]
        options += ["default_hooks.logger.type=LoggerHook", "train_cfg.val_interval=2"]
        line = [str(tiny_project / "tiny.py"), "--work-dir", str(work_dir), "--cfg-options", *options]
        load_tool("train").main(line)

    return run


def test_every_training_of_a_process_has_its_own_figures_log_and_report(tiny, tmp_path):
    for name in ("first", "second"):  # within a second or not: mmengine's names end with the second
        tiny(tmp_path / name)
    for name in ("first", "second"):
        assert logged_iterations(tmp_path / name) == [2]
        assert (tmp_path / name / "report.html").is_file()
        (log,) = (tmp_path / name).glob("*/*.log")
        assert log.read_text().count("Iter(train)") == 1


def test_a_visualizer_of_an_earlier_run_is_named(data, tmp_path):
    options = dict(visualizer=dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], name="mine"))
    hooks = dict(default_hooks=dict(report=dict(type="ReportHook")))
    for name in ("first", "second"):
        train(data, tmp_path / name, loop=dict(max_iters=1), **options, **hooks)
    assert (tmp_path / "first/report.html").is_file()
    (log,) = (tmp_path / "second").glob("*/*.log")
    assert "visualizer.name='mine'" in log.read_text()


@pytest.fixture
def holder(tmp_path):
    """Another process that trains in ``tmp_path``."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert "holds it\n" in iter(process.stdout.readline, "")
    yield process
    process.kill()
    process.wait()


@pytest.mark.slow
def test_a_folder_with_a_running_training_is_refused_until_that_has_died(holder, tiny, tmp_path):
    for enter in (only_training_in(tmp_path).__enter__, lambda: tiny(tmp_path)):
        with pytest.raises(RuntimeError, match="another training.*--work-dir") as error:
            enter()
        assert f"{socket.gethostname()}, process {holder.pid}" in str(error.value)
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert str(holder.pid) in (tmp_path / LOCK).read_text()
    with only_training_in(tmp_path):
        assert f"{socket.gethostname()}, process {os.getpid()}" in (tmp_path / LOCK).read_text()


def test_a_marker_of_another_machine_is_mentioned(tmp_path):
    (tmp_path / LOCK).write_text("elsewhere, process 12, since 2024-01-01 00:00:00")
    with pytest.warns(UserWarning, match="elsewhere, process 12"), only_training_in(tmp_path):
        pass
