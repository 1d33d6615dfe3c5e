"""What tools/quickstart.sh says and how it ends; the whole is run by tests/test_readme.py."""

import subprocess
import sys

import pytest
from builders import ROOT


def test_help_installs_nothing_and_names_what_one_can_set(tmp_path):
    environment = dict(PATH="/usr/bin:/bin", MMSEG_ALLSPARK_PYTHON=str(tmp_path / "none"))
    command = ["bash", str(ROOT / "tools/quickstart.sh"), "--seed", "1", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20)
    assert done.returncode == 0, done.stderr
    for word in ("MMSEG_ALLSPARK_PYTHON", "TORCH_INDEX_URL", "--steps", "GB", "minutes"):
        assert word in done.stdout


def test_ctrl_c_ends_in_one_line(load_tool, monkeypatch, tmp_path):
    quickstart = load_tool("quickstart")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(quickstart.subprocess, "run", lambda *a, **k: None)
    monkeypatch.setattr(quickstart, "launch", interrupt)
    monkeypatch.setattr(sys, "argv", ["quickstart.py", "--work-dir", str(tmp_path)])
    with pytest.raises(SystemExit, match=f"stopped; finished runs are in {tmp_path}; bash tools/quickstart.sh"):
        quickstart.main()


def test_a_failed_supervised_run_ends_the_other_at_once(load_tool, monkeypatch, tmp_path):
    quickstart = load_tool("quickstart")
    first, last = work_dirs = {name: tmp_path / name for name in quickstart.CONFIGS}
    started = {}

    def launch(config, work_dir, *_):
        code = "raise SystemExit(1)" if work_dir == work_dirs[first] else "import time; time.sleep(60)"
        started[work_dir] = subprocess.Popen([sys.executable, "-c", code])
        return started[work_dir]

    monkeypatch.setattr(quickstart, "launch", launch)
    with pytest.raises(SystemExit, match=f"'{first}' failed, see above or .*train.log"):
        quickstart.train(work_dirs, quickstart.argparse.Namespace(work_dir=tmp_path, seed=0))
    assert started[work_dirs[last]].wait(timeout=10) != 0
