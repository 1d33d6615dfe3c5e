"""--resume with something changed: goes on rightly and says so, or is an error in words before the first step."""

import pytest
import torch
from builders import CLASSES, head_config, loader_config, model_config, neck_config, train, write_data
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
    assert warnings_of(log, "iter_6.pth") == warnings_of(log, "differs from") == []


@pytest.mark.parametrize(("images", "length"), [(1, 8), (4, 2)])
def test_other_steps_per_epoch_keep_the_share_of_the_training(data, tmp_path, saved, images, length):
    seen, log = resume(data, tmp_path, saved, images=images, steps=99)
    first = 3 * length // 2
    assert [step[:2] for step in seen.steps] == [(step, step // length) for step in range(first, 3 * length)]
    # PolyLR of power 1 falls on a straight line to 0 at the end, also after the conversion.
    rates = [step[2] for step in seen.steps]
    expected = [rates[0] * (1 - index / (len(rates) - 1)) for index in range(len(rates))]
    assert rates == pytest.approx(expected, abs=1e-9)
    assert rates[0] == pytest.approx(0.01 / 2, rel=0.12)
    (line,) = warnings_of(log, "differs from the one resumed")
    for part in (
        f"steps per epoch {LENGTH} -> {length}",
        f"images per step (unlabeled_dataloader) 2 -> {images}",
        f"iteration 6 is now {first} of {3 * length}",
        f"they would be {images / 2:g} times as large (auto_scale_lr.enable=True)",
    ):
        assert part in line


def test_another_number_of_processes_with_as_many_images_changes_nothing(data, tmp_path, saved):
    """As a run of two processes with one image each writes it."""
    two = edited(saved, tmp_path / "two.pth", lambda content: content["meta"]["steps"].update(processes=2))
    seen, log = resume(data, tmp_path / "run", two)
    assert seen.steps[0][:2] == (6, 1)
    (line,) = warnings_of(log, "differs from the one resumed")
    assert "processes 2 -> 1" in line
    assert "iteration 6 of 12." in line
    assert "Learning rates" not in line


def test_auto_scale_lr_scales_the_rates_of_the_checkpoint(data, tmp_path, saved):
    seen, log = resume(data, tmp_path, saved, images=1, steps=7, auto_scale_lr=dict(enable=True, base_batch_size=2))
    rates = [step[2] for step in seen.steps]
    assert rates[0] == pytest.approx(0.01 / 2 / 2, rel=0.12)
    assert rates[6] == pytest.approx(rates[0] * (1 - 6 / 11))
    assert "Learning rates are scaled to the config's" in log


def test_with_max_iters_iterations_stay(data, tmp_path):
    options = dict(param_scheduler=[dict(type="PolyLR", power=1.0, begin=0, end=6, by_epoch=False)])
    run(data, tmp_path / "first", **options, loop=dict(max_iters=3), default_hooks=SAVE)
    checkpoint = tmp_path / "first" / "iter_3.pth"
    seen, log = resume(data, tmp_path / "second", checkpoint, (), **options, loop=dict(max_iters=6), images=1, steps=3)
    assert [step[0] for step in seen.steps] == [3, 4, 5]
    assert [step[2] for step in seen.steps] == pytest.approx([0.01 * (1 - step / 5) for step in (3, 4, 5)])
    (line,) = warnings_of(log, "differs from the one resumed")
    assert "iteration 3 of 6" in line


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
        (dict(model=FIVE), r"conv_seg \(weight 4x16x1x1 -> 5x16x1x1, bias 4 -> 5\).*set load_from to it and leave"),
        (dict(model=NO_NECK), "parameters in 1 groups, in the checkpoint"),
        (dict(optim_wrapper=ADAM), "the optimizer is a AdamW with the settings betas.*dampening, lr, momentum"),
        (dict(optim_wrapper=BY_PART), r"groups, in the checkpoint \d+ in 1 \(optim_wrapper.paramwise_cfg"),
        (dict(param_scheduler=[POLY, POLY]), "param_scheduler has 2 entries, in the checkpoint 1"),
        (dict(param_scheduler=[dict(type="LinearLR", start_factor=0.1)]), r"param_scheduler\[0\] is a LinearLR"),
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
        (
            lambda content: content["optimizer"]["state"][3].update(momentum_buffer=torch.zeros(77)),
            r"parameter 3 of the optimizer has the shape \(8,\), its momentum_buffer in the checkpoint \(77,\)",
        ),
    ],
)
def test_a_checkpoint_that_holds_no_run(data, tmp_path, saved, edit, text):
    with pytest.raises(ValueError, match=f"half.pth cannot be resumed.*{text}"):
        resume(data, tmp_path / "run", edited(saved, tmp_path / "half.pth", edit))


def test_another_crop_resizes_the_memory_also_in_the_average(data, tmp_path, saved):
    neck = neck_config(memory_size=(5, 5), size_mismatch="resize")
    seen, log = resume(data, tmp_path, saved, model=model_config(neck=neck))
    assert seen.steps[0][0] == 6
    (line,) = warnings_of(log, "iter_6.pth")
    assert "Resized (checkpoint -> model): neck.memory (queue 4x32x9 -> 4x32x25)" in line


def test_a_memory_of_unknown_form_starts_empty_also_in_the_average(data, tmp_path, saved):
    def edit(content):
        for key in ("state_dict", "ema_state_dict"):
            for name in [name for name in content[key] if name.endswith("memory.queue")]:
                content[key][name] = torch.zeros(4, 32, 6)

    seen, log = resume(data, tmp_path / "run", edited(saved, tmp_path / "six.pth", edit))
    assert "queue 4x32x6 -> 4x32x9, pointer with it, enqueued with it" in log
    assert seen.start["neck.memory.enqueued"].tolist() == [0] * len(CLASSES)


def test_without_the_average_the_model_goes_on_with_its_own_weights(data, tmp_path, saved):
    seen, log = resume(data, tmp_path, saved, hooks=())
    own = torch.load(saved, weights_only=False)["ema_state_dict"]  # EMAHook exchanges the two when it saves
    assert all(torch.equal(value, own[f"module.{key}"]) for key, value in seen.start.items())
    assert warnings_of(log, "the run has no EMAHook")


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
    halves = dict(images=1, auto_scale_lr=dict(enable=True, base_batch_size=2))
    halved, _ = run(data, tmp_path / "c", steps=1, **options | halves)
    assert halved.steps[0][2] == pytest.approx(rate / 2)


def test_settings_of_the_config_that_have_no_effect_are_named(data, tmp_path, saved):
    optimizer = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.02, momentum=0.8))
    _, log = resume(data, tmp_path, saved, optim_wrapper=optimizer, param_scheduler=[dict(POLY, end=5)])
    (line,) = warnings_of(log, "goes on with its own settings, not the config's")
    for part in ("lr=0.01 (config: 0.02)", "momentum=0.9 (config: 0.8)", "param_scheduler[0].end=12 (config: 20)"):
        assert part in line
