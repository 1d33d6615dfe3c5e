"""--resume with something changed: an error in words before the first step, or a warning of what has no effect."""

import pytest
import torch
from builders import head_config, loader_config, model_config, neck_config, train, write_data
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

LENGTH = 4  # steps per epoch: 8 unlabeled images, 2 a step
EMA = dict(type="EMAHook", momentum=0.5, update_buffers=True)
SAVE = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1))
POLY = dict(type="PolyLR", power=1.0, eta_min=0.0, begin=0, end=3, by_epoch=True, convert_to_iter_based=True)


@HOOKS.register_module(force=True)
class RateHook(Hook):
    """Writes down iteration, epoch and learning rate of the first steps, and the model before; then the run ends."""

    def __init__(self, steps):
        self.last = steps

    def before_train(self, runner):
        self.steps, self.start = [], {key: value.clone() for key, value in runner.model.state_dict().items()}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.steps.append((runner.iter, runner.epoch, runner.optim_wrapper.get_lr()["lr"][0]))
        runner.train_loop.stop_training = len(self.steps) == self.last


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"), labeled=4, unlabeled=8)


def run(data, work_dir, images=2, hooks=(), steps=99, **options):
    """Three epochs, or what ``loop`` says, with ``images`` labeled and unlabeled images a step."""
    loop = options.pop("loop", dict(max_epochs=3))
    loop["unlabeled_dataloader"] = loader_config(data, "unlabeled", batch_size=images)
    runner = train(
        data,
        work_dir,
        **dict(
            loop=loop,
            train_dataloader=loader_config(data, "labeled", batch_size=images),
            param_scheduler=[POLY],
            custom_hooks=[*hooks, dict(type="RateHook", steps=steps)],
        )
        | options,
    )
    return next(hook for hook in runner.hooks if isinstance(hook, RateHook)), next(work_dir.glob("*/*.log")).read_text()


@pytest.fixture(scope="module")
def saved(data, tmp_path_factory):
    """A checkpoint of six steps, one and a half epochs, of a run with a moving average."""
    folder = tmp_path_factory.mktemp("saved")
    run(data, folder, hooks=[EMA], default_hooks=SAVE, steps=6)
    return folder / "iter_6.pth"


def edited(checkpoint, path, edit):
    """A copy of a checkpoint, changed."""
    content = torch.load(checkpoint, weights_only=False)
    edit(content)
    torch.save(content, path)
    return path


def resume(data, work_dir, checkpoint, hooks=(EMA,), steps=1, **options):
    return run(data, work_dir, hooks=hooks, steps=steps, resume=True, load_from=str(checkpoint), **options)


def warnings_of(log, text):
    return [line for line in log.splitlines() if "WARNING" in line and text in line]


def test_without_a_change_nothing_is_said(data, tmp_path, saved):
    seen, log = resume(data, tmp_path, saved, steps=3)
    assert [step[:2] for step in seen.steps] == [(6, 1), (7, 1), (8, 2)]
    assert warnings_of(log, "iter_6.pth") == []


def test_a_checkpoint_of_another_tool_is_resumed_as_it_is(data, tmp_path, saved):
    plain = edited(saved, tmp_path / "plain.pth", lambda content: content["meta"].pop("steps"))
    seen, _ = resume(data, tmp_path / "run", plain, images=1)
    assert seen.steps[0][0] == 6


FIVE = model_config(neck=neck_config(num_classes=5), decode_head=head_config(num_classes=5))
NO_NECK = model_config(neck=None)
ADAM = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.01))
BY_PART = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9),
    paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=10.0))),
)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            dict(images=1),
            r"steps of an epoch were .*'epoch': 4.*now they are .*'epoch': 8.*set load_from to it and leave",
        ),
        (dict(model=FIVE), "conv_seg.weight 4x16x1x1 -> 5x16x1x1"),
        (dict(hooks=()), "it holds a moving average, but the run has no EMAHook"),
        (dict(optim_wrapper=ADAM), "the optimizer's settings are betas.*dampening, lr, momentum"),
        (dict(optim_wrapper=BY_PART), r"groups, in the checkpoint \d+ in 1 \(optim_wrapper.paramwise_cfg"),
        (dict(param_scheduler=[POLY, POLY]), "param_scheduler has 2 entries, in the checkpoint 1"),
    ],
)
def test_what_cannot_go_on_is_an_error_in_words(data, tmp_path, saved, options, text):
    with pytest.raises(ValueError, match=rf"iter_6.pth cannot be resumed.*{text}"):
        resume(data, tmp_path, saved, **options)


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (lambda content: content.pop("optimizer"), "it has no optimizer, so"),
        (lambda content: [content.pop(key) for key in list(content) if key != "state_dict"], "no meta, message_hub"),
        (lambda content: content["meta"]["steps"].update(processes=2), "'processes': 2.* now .*'processes': 1"),
    ],
)
def test_a_checkpoint_that_is_not_of_this_run(data, tmp_path, saved, edit, text):
    with pytest.raises(ValueError, match=f"half.pth cannot be resumed.*{text}"):
        resume(data, tmp_path / "run", edited(saved, tmp_path / "half.pth", edit))


def test_an_average_that_is_new_starts_from_the_model(data, tmp_path):
    run(data, tmp_path / "first", default_hooks=SAVE, steps=1)
    _, log = resume(data, tmp_path / "second", tmp_path / "first" / "iter_1.pth")
    assert warnings_of(log, "`EMAHook` will make a copy of `state_dict`")


def test_groups_of_paramwise_cfg_go_on(data, tmp_path):
    """mmengine keeps the settings outside all groups as one group more, which is not in the optimizer's state."""
    groups = dict(custom_keys=dict(neck=dict(lr_mult=10.0)))
    optim = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9), paramwise_cfg=groups)
    run(data, tmp_path / "a", default_hooks=SAVE, steps=2, optim_wrapper=optim)
    options = dict(load_from=str(tmp_path / "a/iter_2.pth"), resume=True, optim_wrapper=optim)
    same, log = run(data, tmp_path / "b", steps=1, **options)
    rate = torch.load(options["load_from"], weights_only=False)["optimizer"]["param_groups"][0]["lr"]
    assert same.steps == [(2, 0, pytest.approx(rate))] and not warnings_of(log, "own settings")


def test_settings_of_the_config_that_have_no_effect_are_named(data, tmp_path, saved):
    optimizer = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.02, momentum=0.8))
    _, log = resume(data, tmp_path, saved, optim_wrapper=optimizer, param_scheduler=[dict(POLY, end=5)])
    (line,) = warnings_of(log, "goes on with its own settings, not the config's")
    for part in ("lr=0.01 (config: 0.02)", "momentum=0.9 (config: 0.8)", "param_scheduler[0].end=12 (config: 20)"):
        assert part in line
