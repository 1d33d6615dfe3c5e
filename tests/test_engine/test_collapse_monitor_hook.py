"""CollapseMonitorHook: what it warns of, how often, and when it keeps quiet."""

import math

import pytest
import torch
from builders import CLASSES, model_config, train
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmseg_allspark.engine import CollapseMonitorHook

from . import faults  # noqa: F401  (registers)
from .test_hooks import log_lines

QUICK = dict(type="CollapseMonitorHook", window=2, patience=2, begin=0.0)


@HOOKS.register_module(force=True)
class ForceLabelsHook(Hook):
    """Replaces the pseudo labels of iterations ``at`` by those of a script, before the monitor sees them.

    ``shares`` of the columns from left to right are given to the classes.
    """

    priority = "HIGH"

    def __init__(self, shares, at=range(999)):
        self.shares, self.at = torch.tensor(shares), at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter in self.at:
            record = data_batch["step"].record
            logits = torch.zeros_like(record["pseudo"].logits)
            place = (torch.arange(logits.shape[3]) + 0.5) / logits.shape[3]
            classes = torch.bucketize(place, self.shares.cumsum(0)).clamp(max=len(self.shares) - 1)
            logits.scatter_(1, classes.expand_as(logits[:, :1]), 9.0)
            record["pseudo"] = runner.model.make_pseudo_label(logits)


def warnings(work_dir):
    return log_lines(work_dir, "the training may be collapsing: ")


def labels_run(data, work_dir, shares, iters=6, at=range(999), hook=QUICK, **options):
    """Labeled crops have a quarter of each class."""
    hooks = [dict(type="ForceLabelsHook", shares=shares, at=at), hook]
    return train(data, work_dir, loop=dict(max_iters=iters), custom_hooks=hooks, **options)


def test_one_class_everywhere_is_warned_of_once(data, tmp_path):
    labels_run(data, tmp_path, [0.0, 1.0, 0.0, 0.0], iters=8)
    (line,) = warnings(tmp_path)
    assert "class 'b' has 1.000 of the pseudo labels of the last 2 iterations and 0." in line
    for name in ("a", "c", "d"):
        assert f"class {name!r} has 0.0000 of the pseudo labels" in line
    assert "pseudo_labels_from='ema'" in line


def test_the_shares_of_the_labeled_images_cause_no_warning(data, tmp_path):
    labels_run(data, tmp_path, [0.25, 0.25, 0.25, 0.25])
    labels_run(data, tmp_path / "uneven", [0.7, 0.1, 0.1, 0.1])
    assert not warnings(tmp_path)
    assert not warnings(tmp_path / "uneven")


def test_a_class_that_was_back_is_warned_of_again(data, tmp_path):
    at = [0, 1, 2, 3, 6, 7, 8, 9]
    hooks = [dict(type="ForceLabelsHook", shares=[0.25] * 4), dict(type="ForceLabelsHook", shares=[1.0], at=at), QUICK]
    train(data, tmp_path, loop=dict(max_iters=10), custom_hooks=hooks)
    assert len(warnings(tmp_path)) == 2


@pytest.mark.parametrize(
    ("changes", "loop"),
    [
        (dict(patience=3), dict()),  # there are three windows in six iterations, the last ends with the run
        (dict(begin=0.5), dict()),
        (dict(), dict(burn_in_iters=4)),
    ],
)
def test_patience_begin_and_burn_in(data, tmp_path, changes, loop):
    hooks = [dict(type="ForceLabelsHook", shares=[1.0]), QUICK | changes]
    train(data, tmp_path, loop=dict(max_iters=5, **loop), custom_hooks=hooks)
    assert not warnings(tmp_path)


@pytest.mark.parametrize("shares", [[1.0], [0.25] * 4])
def test_only_pixels_that_count_can_take_over(data, tmp_path, shares):
    threshold = dict(type="ConfidenceThreshold", threshold=[1.0, 0.0, 1.0, 1.0])  # a softmax of 1 is never reached
    labels_run(data, tmp_path, shares, model=model_config(confidence=threshold))
    (line,) = warnings(tmp_path)
    if len(shares) == 1:
        assert line.startswith("no pixel of the pseudo labels of the last 2 iterations is confident enough")
    else:
        assert line.startswith("class 'b' has 1.000")
        assert "class 'a'" not in line  # it is there, only not sure


def test_a_large_background_is_no_collapse():
    hook, names = CollapseMonitorHook(), CLASSES[:2]
    labeled = [70.0, 30.0]
    for share, expected in ((0.7, False), (0.93, False), (0.95, True)):
        pseudo = [1000 * share, 1000 * (1 - share)]
        assert bool(hook._judge([labeled, pseudo, pseudo], names)) == expected, share
    for rare, expected in ((10.0, ["takeover a", "missing b"]), (1.0, ["takeover a"])):
        pixels = [[1000.0 - rare, rare], [1000.0, 0.0], [1000.0, 0.0]]
        assert list(hook._judge(pixels, names)) == expected
    assert not CollapseMonitorHook()._judge([[100.0, 0.0]] * 3, names)


def test_memory_of_what_lasts_survives_a_resume(data, tmp_path):
    save = dict(checkpoint=dict(type="AtomicCheckpointHook", by_epoch=False, interval=2))
    labels_run(data, tmp_path / "first", [1.0], iters=2, default_hooks=save)
    assert not warnings(tmp_path / "first")
    resume = dict(resume=True, load_from=str(tmp_path / "first" / "iter_2.pth"))
    labels_run(data, tmp_path / "second", [1.0], iters=8, default_hooks=save, **resume)
    assert len(warnings(tmp_path / "second")) == 1
    resume["load_from"] = str(tmp_path / "second" / "iter_6.pth")
    labels_run(data, tmp_path / "third", [1.0], iters=8, default_hooks=save, **resume)
    assert not warnings(tmp_path / "third")


def validations(data, work_dir, values, **hook):
    metric = dict(type="ScriptedMetric", values=values)
    loop = dict(max_iters=len(values), val_interval=1)
    hook = QUICK | dict(window=999) | hook
    return train(data, work_dir, loop=loop, validate=True, val_evaluator=metric, custom_hooks=[hook])


@pytest.mark.parametrize(
    ("values", "options", "lines"),
    [
        ([30.0, 50.0, 40.0, 60.0, 43.0], dict(), []),
        ([30.0, 50.0, 34.0, 20.0, 10.0], dict(), ["mIoU is 34.00, its best was 50.00"]),
        ([50.0, 30.0, 45.0, 10.0], dict(), ["mIoU is 30.00, its best was 50.00", "mIoU is 10.00, its best was 50.00"]),
        ([math.nan, 50.0, math.nan], dict(begin=0.5), ["mIoU is nan, its best was 50.00"]),
    ],
)
def test_a_validation_far_below_its_best(data, tmp_path, values, options, lines):
    validations(data, tmp_path, values, **options)
    assert [line.partition(". What")[0] for line in warnings(tmp_path)] == lines
