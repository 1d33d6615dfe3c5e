"""Two CPU processes through the launch scripts, from a folder that is not the project's."""

import subprocess
import sys

import pytest
import torch
from builders import ROOT
from mmengine.config import Config


def launch(script, *arguments, cwd, env):
    command = ["bash", str(ROOT / "tools" / script), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def trained(tiny_project, cpu_environment):
    """Train ``tiny.py`` on two ranks; return the finished process and the work directory."""
    work_dir = tiny_project / "two ranks"
    arguments = ("tiny.py", 2, "--work-dir", work_dir, "--cfg-options", "randomness.seed=0")
    process = launch("dist_train.sh", *arguments, cwd=tiny_project, env=cpu_environment)
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    return process, work_dir


@pytest.mark.slow
def test_two_ranks_end_with_equal_weights_after_images_of_their_own(trained):
    process, work_dir = trained
    assert "2 processes run on the CPU with gloo" in process.stdout + process.stderr
    first, second = (torch.load(work_dir / f"rank{rank}.pth") for rank in range(2))
    assert not torch.equal(first["backbone.layers.1.running_mean"], second["backbone.layers.1.running_mean"])
    parameters = [name for name in first if not name.endswith(("running_mean", "running_var"))]
    assert parameters and all(torch.equal(first[name], second[name]) for name in parameters)


@pytest.mark.slow
def test_resume_goes_on_from_the_latest_checkpoint(trained, tiny_project, cpu_environment):
    _, work_dir = trained
    more = ("tiny.py", 2, "--work-dir", work_dir, "--resume", "--cfg-options", "train_cfg.max_iters=6")
    process = launch("dist_train.sh", *more, cwd=tiny_project, env=cpu_environment)
    output = process.stdout + process.stderr
    assert process.returncode == 0, output[-12000:]
    assert "from iteration 4 on" in output


@pytest.mark.slow
def test_two_ranks_evaluate_every_image_once(trained, tiny_project, cpu_environment):
    _, work_dir = trained
    out = tiny_project / "predictions"
    arguments = ("tiny.py", work_dir / "iter_4.pth", 2, "--work-dir", tiny_project / "test", "--out", out)
    process = launch("dist_test.sh", *arguments, cwd=tiny_project, env=cpu_environment)
    output = process.stdout + process.stderr
    assert process.returncode == 0, output[-12000:]
    assert "mIoU" in output
    assert sorted(path.name for path in out.iterdir()) == [f"{index}.png" for index in range(6)]


@pytest.mark.parametrize(
    ("script", "arguments", "variables", "message"),
    [
        ("dist_train.sh", ["tiny.py", "two"], {}, "GPUS must be a positive number of processes, got 'two'"),
        ("dist_test.sh", ["tiny.py", "2"], {}, "tools/dist_test.sh "),
        ("slurm_train.sh", ["partition", "job"], {}, "tools/slurm_train.sh "),
    ],
)
def test_wrong_arguments_print_the_usage(script, arguments, variables, message, tiny_project, cpu_environment):
    process = launch(script, *arguments, cwd=tiny_project, env=cpu_environment | variables)
    assert process.returncode == 2
    assert f"tools/{script} " in process.stderr and message in process.stderr


def test_slurm_script_hands_everything_to_srun(tiny_project, cpu_environment, tmp_path):
    srun = tmp_path / "srun"
    srun.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    env = {**cpu_environment, "PATH": f"{tmp_path}:{cpu_environment['PATH']}", "GPUS": "2"}
    process = launch("slurm_train.sh", "gpu", "job", "a b.py", "--amp", cwd=tiny_project, env=env)
    words = process.stdout.splitlines()
    assert process.returncode == 0, process.stderr
    assert {"--ntasks=2", "--ntasks-per-node=2", "--gres=gpu:2", "--job-name=job"} <= set(words)
    assert words[-5:] == [str(ROOT / "tools" / "train.py"), "a b.py", "--amp", "--launcher", "slurm"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_ranks_meet_with_the_settings_of_the_config(device, load_tool, monkeypatch):
    """On GPUs as the Runner would do it later; ``timeout`` is how long a rank waits for another."""
    common = load_tool("_common")
    calls = []
    monkeypatch.setattr(common, "prepare_cpu_distributed", lambda cfg, launcher: device == "cpu")
    monkeypatch.setattr(common, "set_multi_processing", lambda **options: calls.append(options))
    monkeypatch.setattr(common, "init_dist", lambda *arguments, **options: calls.append((*arguments, options)))
    dist_cfg = dict(backend="nccl", timeout=300)
    env_cfg = dict(mp_cfg=dict(mp_start_method="fork"), dist_cfg=dist_cfg)
    common.start_processes(Config(dict(launcher="slurm", env_cfg=env_cfg)))
    expected = [dict(mp_start_method="fork", distributed=True), ("slurm", dist_cfg)]
    assert calls == (expected if device == "cuda" else [])
    common.start_processes(Config(dict(launcher="none")))
    assert len(calls) == 2 * (device == "cuda")


@pytest.mark.slow
def test_a_checkpoint_that_does_not_fit_is_not_evaluated(trained, tiny_project, cpu_environment):
    _, work_dir = trained
    changes = ("--cfg-options", "model.decode_head.num_classes=5")
    process = run_tool("test.py", work_dir / "iter_4.pth", *changes, cwd=tiny_project, env=cpu_environment)
    assert process.returncode == 2
    assert "iter_4.pth does not fit the config's model" in process.stderr
    assert "decode_head.conv_seg.weight 3x4x1x1 -> 5x4x1x1, decode_head.conv_seg.bias 3 -> 5" in process.stderr


def run_tool(name, *arguments, cwd, env):
    command = [env["PYTHON"], ROOT / "tools" / name, "tiny.py", "--work-dir", cwd / "one", *arguments]
    return subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


def test_the_cache_that_all_ranks_read_is_there_before_they_start(cpu_environment, tmp_path):
    """yapf writes it at its first use, so ranks that start at once may read half of it."""
    program = tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\n[ "$2" != torch.distributed.run ] || exec ls -R {tmp_path}/cache\nexec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    env = cpu_environment | {"PYTHON": str(program), "XDG_CACHE_HOME": f"{tmp_path}/cache"}
    process = launch("dist_train.sh", "config.py", 2, cwd=tmp_path, env=env)
    assert ".pickle" in process.stdout, process.stderr
