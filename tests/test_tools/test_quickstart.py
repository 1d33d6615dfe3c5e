"""The parts of tools/quickstart.py that need no training; the whole is run by tests/test_readme.py."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def quickstart(load_tool):
    return load_tool("quickstart")


def test_remaining_time_is_that_of_the_slowest_run(quickstart):
    assert quickstart.remaining([40, 70], 100, 40.0) == "about 1.0 min left"  # 40 steps took 40 s, 60 are left
    assert "measuring" in quickstart.remaining([0, 70], 100, 40.0)


def test_help_installs_nothing_and_names_what_one_can_set(tmp_path):
    environment = dict(PATH="/usr/bin:/bin", MMSEG_ALLSPARK_PYTHON=str(tmp_path / "none"))
    command = ["bash", str(ROOT / "tools/quickstart.sh"), "--seed", "1", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20)
    assert done.returncode == 0, done.stderr
    for word in ("MMSEG_ALLSPARK_PYTHON", "TORCH_INDEX_URL", "--steps", "GB", "minutes"):
        assert word in done.stdout


def test_ctrl_c_ends_in_one_line(quickstart, monkeypatch, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(quickstart.subprocess, "run", lambda *a, **k: None)
    monkeypatch.setattr(quickstart.Training, "start", lambda *_: None)
    monkeypatch.setattr(quickstart, "watch", interrupt)
    monkeypatch.setattr(sys, "argv", ["quickstart.py", "--work-dir", str(tmp_path)])
    with pytest.raises(SystemExit, match=f"stopped; finished runs are in {tmp_path}; bash tools/quickstart.sh"):
        quickstart.main()
