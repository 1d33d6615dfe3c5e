"""Which of teacher and student is validated, saved, resumed and exported."""

import pytest
import torch
from builders import assert_same_state, head_config, model_config, train
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmseg_allspark.inference import choose_weights
from mmseg_allspark.utils.wrappers import averages


@HOOKS.register_module(force=True)
class WitnessHook(Hook):
    """Keeps the weights that are validated and those of the student before and after."""

    priority = "LOWEST"

    def before_val_epoch(self, runner):
        self.validated = {name: value.clone() for name, value in runner.model.state_dict().items()}

    def after_val_epoch(self, runner, metrics=None):
        self.after = {name: value.clone() for name, value in runner.model.state_dict().items()}


def run(data, work_dir, evaluated, steps=3, **options):
    hook = dict(type="MeanTeacherHook", momentum=0.3, evaluated=evaluated)
    return train(
        data,
        work_dir,
        loop=dict(max_iters=steps, val_interval=3, pseudo_labels_from="ema"),
        model=model_config(neck=None),
        validate=True,
        custom_hooks=[hook, dict(type="WitnessHook")],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1)),
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1)),
        **options,
    )


def hook_of(runner, name):
    return next(hook for hook in runner.hooks if type(hook).__name__ == name)


@pytest.fixture(scope="module", params=["teacher", "student"])
def finished(request, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    runner = run(data, folder, request.param)
    return request.param, folder, runner, torch.load(folder / "iter_3.pth", weights_only=False)


def test_declared_role_is_validated_and_saved_as_state_dict(finished):
    role, folder, runner, checkpoint = finished
    teacher = hook_of(runner, "MeanTeacherHook").ema_model.module.state_dict()
    student = runner.model.state_dict()
    weights = dict(teacher=teacher, student=student)
    assert not torch.equal(*(state["decode_head.conv_seg.weight"] for state in weights.values()))
    assert_same_state(hook_of(runner, "WitnessHook").validated, weights[role])
    assert_same_state(hook_of(runner, "WitnessHook").after, student)  # the student trains on
    assert_same_state(dict(checkpoint["state_dict"]), dict(weights[role]))
    assert f"use: the {role} (MeanTeacherHook)." in next(folder.glob("*/*.log")).read_text()


def test_export_finds_both(finished):
    role, _, runner, checkpoint = finished
    weights = dict(
        ema=hook_of(runner, "MeanTeacherHook").ema_model.module.state_dict(), model=runner.model.state_dict()
    )
    for which, expected in weights.items():
        got, kind = choose_weights(checkpoint, which, "x.pth")
        assert_same_state(got, dict(expected))
        assert kind == which
    assert choose_weights(checkpoint, None, "x.pth")[1] == dict(teacher="ema", student="model")[role]


@pytest.mark.parametrize("resumed_as", ["teacher", pytest.param("student", marks=pytest.mark.slow)])
def test_resumed_run_goes_on_exactly_whichever_is_evaluated(finished, data, tmp_path, resumed_as):
    role, folder, _, _ = finished
    expected = run(data, tmp_path / "whole", "teacher", steps=5)
    got = run(data, tmp_path / "resumed", resumed_as, steps=5, load_from=str(folder / "iter_3.pth"), resume=True)
    assert_same_state(got.model.state_dict(), expected.model.state_dict())
    averages = [hook_of(runner, "MeanTeacherHook").ema_model.state_dict() for runner in (got, expected)]
    assert_same_state(*averages)


def test_teachers_keep_the_norms_in_eval_mode_that_the_student_does(data, tmp_path):
    widths = [4, 8, 16, 32]
    backbone = dict(type="ResNetV1c", depth=18, stem_channels=4, base_channels=4, norm_eval=True)
    runner = train(
        data,
        tmp_path,
        loop=dict(max_iters=1, pseudo_labels_from="ema"),
        model=model_config(neck=None, backbone=backbone, decode_head=head_config(in_channels=widths)),
        custom_hooks=[dict(type="MeanTeacherHook", num_teachers=2)],
    )
    networks = [runner.model, *(average.module for average in averages(runner))]
    modes = [{name: part.training for name, part in model.named_modules()} for model in networks]
    assert modes[0] == modes[1] == modes[2] and set(modes[0].values()) == {True, False}


def test_the_average_may_begin_after_an_epoch(data, tmp_path):
    """Until then the teacher is a copy, buffers included; mmengine counts epochs from 1."""
    runner = train(
        data,
        tmp_path,
        loop=dict(max_epochs=2, pseudo_labels_from="ema"),
        model=model_config(neck=None),
        custom_hooks=[dict(type="MeanTeacherHook", momentum=0.3, begin_epoch=2)],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=True, interval=1)),
    )
    for epoch, equal in ((1, True), (2, False)):
        checkpoint = torch.load(tmp_path / f"epoch_{epoch}.pth", weights_only=False)
        student, teacher = (choose_weights(checkpoint, kind, "model")[0] for kind in ("model", "ema"))
        assert all(torch.equal(value, teacher[name]) for name, value in student.items()) == equal
    assert runner.epoch == 2


def test_the_teacher_follows_updates_not_the_steps_whose_gradients_accumulate(data, tmp_path):
    runner = train(
        data,
        tmp_path,
        loop=dict(max_iters=5, pseudo_labels_from="ema"),
        model=model_config(neck=None),
        custom_hooks=[dict(type="MeanTeacherHook", momentum=0.3)],
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1), accumulative_counts=2),
    )
    assert int(hook_of(runner, "MeanTeacherHook").ema_model.steps) == 3  # the fifth step ends the training
