"""The parts of tools/quickstart.py that need no training; the whole is run by tests/test_readme.py."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def quickstart():
    spec = importlib.util.spec_from_file_location("quickstart", ROOT / "tools/quickstart.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(quickstart, tmp_path):
    scalars = tmp_path / "20260101" / "vis_data" / "scalars.json"
    scalars.parent.mkdir(parents=True)
    entries = [{"loss": 1.0, "step": 20}, {"pseudo/kept": 0.5, "step": 40}, {"loss": 0.9, "step": 40}]
    entries += [{"mIoU": 31.5, "step": 40}, {"mIoU": 33.25, "step": 80}]
    unfinished = '{"loss": 0.8, "ste'
    scalars.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + unfinished)
    return quickstart.Run("AllSpark", tmp_path / "config.py", tmp_path, 100)


def test_progress_and_result_come_from_what_the_run_wrote(run):
    assert run.step() == 40
    assert run.miou() == 33.25


def test_remaining_time_is_that_of_the_slowest_run_at_its_own_speed(quickstart, run):
    other = quickstart.Run("supervised only", run.config, run.work_dir, 100)
    first = {"AllSpark": (100.0, 10), "supervised only": (100.0, 10)}
    text = quickstart.remaining([run, other], {"AllSpark": 40, "supervised only": 70}, first, now=130.0)
    assert text == "about 1.0 min left"  # 30 steps took 30 s, 60 are left


def test_help_installs_nothing_and_names_what_one_can_set(tmp_path):
    environment = dict(PATH="/usr/bin:/bin", MMSEG_ALLSPARK_PYTHON=str(tmp_path / "none"))
    command = ["bash", str(ROOT / "tools/quickstart.sh"), "--seed", "1", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20)
    assert done.returncode == 0, done.stderr
    for word in ("MMSEG_ALLSPARK_PYTHON", "TORCH_INDEX_URL", "--steps", "GB", "minutes"):
        assert word in done.stdout


def test_ctrl_c_ends_in_one_line(quickstart, monkeypatch, tmp_path):
    class Started:
        poll = staticmethod(lambda: 0)

    def interrupt(runs):
        raise KeyboardInterrupt

    monkeypatch.setattr(quickstart.subprocess, "run", lambda *a, **k: None)
    monkeypatch.setattr(quickstart.Run, "start", lambda self, **k: setattr(self, "process", Started))
    monkeypatch.setattr(quickstart, "watch", interrupt)
    monkeypatch.setattr(sys, "argv", ["quickstart.py", "--work-dir", str(tmp_path)])
    with pytest.raises(SystemExit, match=f"stopped; finished runs are in {tmp_path}; go on with"):
        quickstart.main()


def test_no_estimate_before_there_is_a_speed(quickstart, run):
    assert "measuring" in quickstart.remaining([run], {"AllSpark": 0}, {}, now=5.0)
    assert "measuring" in quickstart.remaining([run], {"AllSpark": 20}, {"AllSpark": (5.0, 20)}, now=5.0)
