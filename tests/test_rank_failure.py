"""One of two ranks fails: torchrun ends the other, and its last words name the rank and what it died of."""

import os
import subprocess
import sys

import pytest
from builders import ROOT, run_config

EXTRA = """
import os, signal
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class FailHook(Hook):
    def __init__(self, how):
        self.how = how

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 2 and get_rank() == 1:
            if self.how == "raise":
                raise ValueError("out of luck")
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("how", "words"), [("raise", ["exitcode  : 1", "ValueError: out of luck"]), ("kill", ["-9"])])
def test_torchrun_ends_all_ranks_and_names_the_one_that_failed(data, tmp_path, how, words):
    imports = dict(imports=["mmseg_allspark", "extra"])
    hooks = [dict(type="FailHook", how=how)]
    cfg = run_config(data, tmp_path, loop=dict(max_iters=100), custom_hooks=hooks, custom_imports=imports)
    cfg.dump(tmp_path / "config.py")
    (tmp_path / "extra.py").write_text(EXTRA)
    paths = dict(PYTHONPATH=f"{ROOT}:{tmp_path}", PYTHON=sys.executable)
    environment = os.environ | paths | dict(CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")
    command = ["bash", ROOT / "tools/dist_train.sh", tmp_path / "config.py", "2"]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    root_cause = process.stderr.rpartition("Root Cause (first observed failure)")[2]
    assert process.returncode == 1
    assert "rank      : 1" in root_cause and all(word in root_cause for word in words), process.stderr[-3000:]
