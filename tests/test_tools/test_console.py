"""What tools/train.py and tools/test.py say on the console, and what they keep to themselves."""

import os
import subprocess
import sys

import pytest
from builders import ROOT, head_config, model_config, run_config
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from mmseg_allspark.datasets.setting_checks import check_batch


@HOOKS.register_module(force=True)
class InterruptHook(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        try:
            if runner.iter == 1:
                raise KeyboardInterrupt
        except BaseException:  # as mmengine does it while it formats a config
            raise SyntaxError("Failed to format the config file") from None


@pytest.fixture
def start(load_tool, data, tmp_path, monkeypatch):
    """Return a function that starts train.py on a config of four iterations with a validation at the end."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def run(*words, hooks=(), **changes):
        logger = dict(type="LoggerHook", interval=1)
        cfg = run_config(data, tmp_path, loop=dict(max_iters=4, val_interval=2), validate=True, **changes)
        cfg.custom_hooks = list(hooks)
        cfg.default_hooks.update(logger=logger, report=dict(type="ReportHook"))
        cfg.default_hooks.checkpoint.interval = 1
        cfg.visualizer = dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
        cfg.dump(tmp_path / "config.py")
        load_tool("train").main([str(tmp_path / "config.py"), "--work-dir", str(tmp_path), *words])

    return run


def test_a_training_says_what_it_trains_how_far_it_is_and_what_came_out(start, tmp_path, capsys):
    start(model=model_config(neck=None))
    lines = capsys.readouterr().out.splitlines()
    first = next(index for index, line in enumerate(lines) if "Iter(train)" in line)
    block = "\n".join(lines[:first])
    assert first <= 15
    for said in ("2 images", "4 images", "a, b, c, d", "4 iterations", "every 2 iterations", "report.html"):
        assert said in block
    assert all("eta:" in line for line in lines[first:] if "Iter(train)" in line)
    end = "\n".join(lines[-5:])
    assert "(iteration 4), best" in end and f"{tmp_path}/iter_4.pth IMAGES" in end and f"{tmp_path}/report.html" in end
    assert "warning" not in "\n".join(lines) and len(lines) < 30
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert "Config:" in log and "Hooks will be executed" in log and block in log


def test_ctrl_c_says_how_to_go_on(start, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        start(hooks=[dict(type="InterruptHook")])
    assert stop.value.code == 130
    assert f"with --resume goes on from {tmp_path}/iter_1.pth" in capsys.readouterr().out


def test_steps_moves_the_training_and_an_option_alone_is_warned_of(start, tmp_path, capsys):
    schedule = [dict(type="PolyLR", begin=0, end=4, by_epoch=False)]
    start("--steps", "2", param_scheduler=schedule)
    assert "2 iterations" in capsys.readouterr().out
    with pytest.warns(UserWarning, match=r"max_iters=3 leaves schedule, burn-in and warm-ups as they are. --steps"):
        start("--cfg-options", "train_cfg.max_iters=3", param_scheduler=schedule)


def test_a_first_look_validates_on_some_images_in_a_folder_of_its_own(load_tool, data, tmp_path, monkeypatch):
    train, cfg = load_tool("train"), run_config(data, tmp_path, loop=dict(max_iters=400), validate=True)
    monkeypatch.setitem(train.quick_options.__globals__, "QUICK_IMAGES", 1)
    cfg.dump(tmp_path / "config.py")
    cfg.work_dir = "w"
    train.set_length(cfg, train.parse_args([str(tmp_path / "config.py"), "--quick"]))
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval, cfg.work_dir) == (200, 50, "w_quick")
    assert len(cfg.val_dataloader.dataset.indices) == 1 and "indices" not in cfg.train_dataloader.dataset


@pytest.mark.parametrize("count", [3, 5])
def test_a_wrong_number_of_classes_stops_supervised_training(start, count):
    model = model_config(type="EncoderDecoder", neck=None, decode_head=head_config(num_classes=count))
    with pytest.raises(ValueError, match=f"train_dataloader has 4 classes but .*num_classes={count}"):
        start(model=model, train_cfg=dict(type="IterBasedTrainLoop", max_iters=4, val_interval=4))


def fail_in_library():
    [].index(1)


@pytest.fixture
def guarded(load_tool):
    """Return a function that runs something as a tool's main does."""
    errors = load_tool("_errors")
    return lambda function, *words: errors.errors_in_one_line(lambda argv: function())(list(words))


def raise_ours():
    check_batch(1, 2, True)


def test_errors_of_users_are_one_line_that_names_the_rank(guarded, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(SystemExit) as stop:
        guarded(raise_ours)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1
    assert "rank 3: error: 1 images per rank give no batch of batch_size=2" in said


def test_other_errors_and_those_asked_for_keep_their_traceback(guarded):
    with pytest.raises(ValueError, match="give no batch"):
        guarded(raise_ours, "--traceback")
    with pytest.raises(ValueError, match="is not in list"):
        guarded(fail_in_library)


@pytest.mark.slow
def test_imports_say_nothing(tmp_path):
    environment = os.environ | dict(PYTHONPATH=str(ROOT), CUDA_HOME=str(tmp_path), CUDA_VISIBLE_DEVICES="")
    command = [sys.executable, "-c", "import mmseg_allspark, torch.utils.cpp_extension"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
