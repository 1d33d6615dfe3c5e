"""Real trainings under compare.py: killed, continued, compared."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from builders import ROOT

from .test_compare import cells

SLOW_PART = """
import os, time
from mmengine.hooks import Hook
from mmseg.registry import HOOKS


@HOOKS.register_module()
class SlowSteps(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        time.sleep(float(os.environ.get("SLOW_STEPS", 0)))
"""


@pytest.mark.slow
def test_real_trainings_killed_and_continued(tiny_project, cpu_environment, tmp_path):
    (tmp_path / "slow_part.py").write_text(SLOW_PART)
    text = (tiny_project / "tiny.py").read_text().replace("['tiny_parts']", "['tiny_parts', 'slow_part']")
    text = text.replace("[dict(type='SaveEveryRank')]", "[dict(type='SlowSteps')]")
    (tmp_path / "a.py").write_text(text)
    (tmp_path / "b.py").write_text(text.replace("lr=0.1", "lr=0.01"))
    words = "A=a.py B=b.py --seeds 0 1 --steps 4 --val-interval 2 --jobs 2 --threads 1 --out out"
    command = [sys.executable, ROOT / "tools/analysis/compare.py", *words.split()]
    environment = cpu_environment | {"PYTHONPATH": f"{tiny_project}{os.pathsep}{tmp_path}"}
    options = dict(cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with subprocess.Popen(command, env=environment | {"SLOW_STEPS": "4"}, start_new_session=True, **options) as first:
        deadline = time.monotonic() + 200
        while not list(tmp_path.glob("out/*/*/last_checkpoint")) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(first.pid, signal.SIGKILL)
    assert list(tmp_path.glob("out/*/*/last_checkpoint")), "not a step was trained"
    second = subprocess.run(command, env=environment, **options)
    assert second.returncode == 0, second.stdout
    assert cells(second.stdout, "A")["seeds"] == cells(second.stdout, "B")["seeds"] == "0, 1"
    record = json.loads((tmp_path / "out/comparison.json").read_text())
    runs = [run for row in record["rows"] for run in row["runs"]]
    assert {run["config"]["randomness"]["seed"] for run in runs} == {0, 1}
    assert all(list(run["validations"])[-1] == "4" and run["seconds_per_iteration"] > 0 for run in runs)
    continued = [tmp_path / run["work_dir"] / "train.log" for run in runs if len(run["starts"]) == 2]
    assert continued and all("training goes on from" in path.read_text() for path in continued)
    third = subprocess.run(command, env=environment, **options)
    assert "4 finished, 0 to train" in third.stdout and third.returncode == 0
