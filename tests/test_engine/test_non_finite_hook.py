"""NaN and Inf in images, losses, gradients and weights: what is stopped, skipped, kept and said."""

import re

import pytest
import torch
from builders import assert_same_state, loader_config, model_config, run_config, train
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg_allspark.methods import SemiSegmentor
from mmseg_allspark.utils.wrappers import averages

from .faults import SAVE, FaultHook, assert_all_finite, failing_run, fault_options, state_of
from .test_hooks import log_lines

KINDS = ("labeled", "weak", "gradient", "loss")


def named(runner):
    """The files of each iteration in the part that may be spoiled."""
    return next(hook for hook in runner.hooks if isinstance(hook, FaultHook)).names


@pytest.mark.parametrize("kind", KINDS)
def test_stop_names_step_files_and_checkpoint_and_keeps_what_there_is(data, tmp_path, kind):
    runner, text = failing_run(data, tmp_path, **fault_options(kind, [3]))
    assert assert_all_finite(tmp_path) == ["iter_1.pth", "iter_2.pth", "iter_3.pth"]
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "iter_3.pth")
    assert "iteration 4:" in text
    assert f"Last good checkpoint: {tmp_path / 'iter_3.pth'}." in text
    assert "policy='skip'" in text
    names = named(runner)[3]
    assert all(name in text for name in names)
    if kind in ("labeled", "weak"):
        assert f"the input itself ({kind}) is not finite: {names[1]}" in text
    else:
        assert "the input itself" not in text
    found = re.findall(r"[\w.]*loss\w*=nan", text)
    assert len(found) == (0 if kind == "gradient" else 1 if kind == "loss" else 2), text
    assert ("losses finite" in text) == (kind == "gradient")
    assert ("pseudo_logits=nan" in text) == (kind == "weak")
    weights = dict(runner.model.named_parameters())
    assert all(value.isfinite().all() for value in weights.values())


@pytest.mark.parametrize("kind", ["weak", "gradient"])
def test_a_skipped_step_leaves_everything_as_it_was(data, tmp_path, kind):
    model = model_config(alignment=dict(), confidence=dict(type="ClassQuantileThreshold"))
    given = fault_options(kind, [3], dict(policy="skip"), model=model)
    given["custom_hooks"].append(dict(type="SemanticMemoryHook"))
    runner = train(data, tmp_path, **given)
    assert len(assert_all_finite(tmp_path)) == 6
    three, four, five = (state_of(tmp_path / f"iter_{number}.pth") for number in (3, 4, 5))
    # in a checkpoint of a run with an EMAHook, the model in training is under ema_state_dict
    trained = [
        {name: value for name, value in one["ema_state_dict"].items() if name != "steps"} for one in (three, four, five)
    ]
    assert_same_state(trained[0], trained[1])
    changed = [name for name, value in trained[1].items() if not torch.equal(value, trained[2][name])]
    parts = ("memory.queue", "memory.pointer", "running_mean", "predicted_prior", "confidence.threshold")
    for part in (*parts, "backbone.layers.0.0.projection.weight"):
        assert any(part in name for name in changed), part
    moments = [one["optimizer"]["state"][0]["momentum_buffer"] for one in (three, four, five)]
    assert torch.equal(moments[0], moments[1])
    assert not torch.equal(moments[1], moments[2])
    assert runner.message_hub.get_info("skipped_steps") == 1
    (line,) = log_lines(tmp_path, "NaN or Inf at")
    assert line.startswith("iteration 4: ")
    text = next(tmp_path.glob("*/*.log")).read_text()
    assert "The step is skipped, 1 so far." in text
    assert all(name in text for name in named(runner)[3])
    assert log_lines(tmp_path, "1 training step(s) were skipped")


def test_a_skipped_step_leaves_a_teacher_that_labels_in_train_mode_as_it_was(data, tmp_path, monkeypatch):
    monkeypatch.setattr(SemiSegmentor, "labels_in", "train")
    hooks = [dict(type="FaultHook", kind="weak", at=[3]), dict(type="MeanTeacherHook", momentum=0.2, buffers="own")]
    loop = dict(max_iters=6, pseudo_labels_from="ema")
    model = model_config(neck=None)
    train(data, tmp_path, **fault_options("weak", [3], dict(policy="skip"), loop=loop, model=model, custom_hooks=hooks))
    assert len(assert_all_finite(tmp_path)) == 6


def test_too_many_in_a_row_stop_the_run(data, tmp_path):
    given = fault_options("gradient", [1, 3, 4, 5], dict(policy="skip", max_skipped=2), loop=dict(max_iters=9))
    _, text = failing_run(data, tmp_path, **given)
    assert "iteration 5:" in text
    assert "max_skipped=2" in text
    assert log_lines(tmp_path, "The step is skipped, ") == ["1 so far.", "2 so far."]
    assert_all_finite(tmp_path)


@pytest.mark.parametrize("policy", ["stop", "skip"])
@pytest.mark.parametrize("best", [True, False])
def test_weights_that_are_not_finite_are_never_written(data, tmp_path, policy, best):
    """The update itself may spoil them, after losses and gradients were fine."""
    save = dict(SAVE, max_keep_ckpts=1, save_best="mIoU", rule="greater")
    if best:
        save["interval"] = 1000
    given = fault_options("weight", [2], dict(policy=policy), loop=dict(max_iters=6, val_interval=1), validate=True)
    given["default_hooks"]["checkpoint"] = save
    given["custom_hooks"] = given["custom_hooks"][:1]
    if best:  # a metric that rises, so that each validation wants to be saved
        given["val_evaluator"] = dict(type="ScriptedMetric", values=[1.0, 2.0, 3.0, 4.0])
    _, text = failing_run(data, tmp_path, **given)
    assert "in what was to be saved: " in text and "state_dict." in text
    (path,) = [path for path in tmp_path.glob("*.pth") if best == path.name.startswith("best")]
    assert path.name.endswith("iter_2.pth")
    assert all(value.isfinite().all() for value in state_of(path)["state_dict"].values())
    assert best or f"Last good checkpoint: {path}." in text


class _SpoilAverage(Hook):
    """NaN in the last moving average alone."""

    priority = "VERY_LOW"

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 0:
            next(averages(runner)[-1].parameters()).data.view(-1)[0] = torch.nan


@pytest.mark.parametrize(
    ("hook", "part"),
    [
        (dict(type="EMAHook", update_buffers=True), "state_dict."),
        (dict(type="MeanTeacherHook", num_teachers=2), "other_teachers.0.module."),
    ],
)
def test_an_average_that_is_not_finite_is_not_written(data, tmp_path, hook, part):
    _, text = failing_run(data, tmp_path, **fault_options("labeled", [99], custom_hooks=[hook, _SpoilAverage()]))
    assert f"in what was to be saved: {part}" in text
    assert f"Last good checkpoint: {tmp_path / 'iter_1.pth'}" in text
    assert assert_all_finite(tmp_path) == ["iter_1.pth"]


def test_supervised_training(data, tmp_path):
    cfg = run_config(data, tmp_path, **fault_options("labeled", [2]))
    cfg.model.update(type="EncoderDecoder", neck=None)
    cfg.train_dataloader = loader_config(data, "labeled")
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=4)
    cfg.unlabeled_dataloader = None
    runner = Runner.from_cfg(cfg)
    with pytest.raises(FloatingPointError) as caught:
        runner.train()
    names = named(runner)[2]
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert f"labeled files: {', '.join(names)}" in lines
    assert f"the input itself (labeled) is not finite: {names[1]}" in lines
    assert assert_all_finite(tmp_path) == ["iter_1.pth", "iter_2.pth"]
