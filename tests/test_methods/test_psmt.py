"""What PS-MT's teachers and its noise do, whose turn it is, and that all teachers together are tested and exported."""

import pytest
import torch
from builders import (
    CROP,
    Labeler,
    assert_same_state,
    build_model,
    head_config,
    model_config,
    neck_config,
    semi_batch,
    train,
)
from mmengine.runner import Runner
from test_engine.random_runs import assert_same_run
from torch import nn

from mmseg_allspark.inference import as_ensemble, load_model, make_plain
from mmseg_allspark.labels.adversarial import adversarial_noise
from mmseg_allspark.methods import Step
from mmseg_allspark.methods.psmt import assisted_mean
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint
from mmseg_allspark.utils.wrappers import averages

MODEL = dict(type="PSMTSegmentor", neck=None, assist_topk=2, unlabeled_view="weak", unsup_weight=1.0)
HOOK = dict(type="MeanTeacherHook", momentum=0.3, num_teachers=2)


def psmt(**changes):
    return build_model(**MODEL | changes)


def run(data, work_dir, steps=5, changes=None, **options):
    """An epoch has two steps, so that a run of five ends in the first teacher's second turn."""
    return train(
        data,
        work_dir,
        loop=dict(max_iters=steps, val_interval=steps, pseudo_labels_from="ema"),
        model=model_config(**MODEL | (changes or {})),
        validate=True,
        custom_hooks=[HOOK],
        default_hooks=dict(checkpoint=dict(type="AtomicCheckpointHook", by_epoch=False, interval=1)),
        **options,
    )


def read(folder, step):
    return load_checkpoint(folder / f"iter_{step}.pth")


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("psmt")
    return folder, run(data, folder)


def test_one_teacher_moves_in_an_epoch_and_the_other_stays(finished):
    """The first moves in the steps 1, 2 and 5, the second in 3 and 4."""
    folder, _ = finished
    for step, moves in ((2, 0), (3, 1), (4, 1), (5, 0)):
        before, after = (
            [read(folder, at)["state_dict"], read(folder, at)["other_teachers"][0]] for at in (step - 1, step)
        )
        names = ["decode_head.conv_seg.weight", "module.decode_head.conv_seg.weight"]
        changed = [not torch.equal(old[name], new[name]) for old, new, name in zip(before, after, names, strict=True)]
        assert changed == [moves == 0, moves == 1], step


def test_a_second_teacher_without_a_start_is_warned_of_and_its_first_turn_is_an_average(finished, caplog):
    folder, runner = finished
    log = next(folder.glob("*/*.log")).read_text()
    assert "begins at once" in log
    name = "decode_head.conv_seg.weight"
    before, after = read(folder, 2), read(folder, 3)
    student = after["ema_state_dict"][f"module.{name}"]
    expected = before["other_teachers"][0][f"module.{name}"].lerp(student, 0.3)
    torch.testing.assert_close(after["other_teachers"][0][f"module.{name}"], expected)


def test_resumed_in_the_second_teachers_turn_it_is_the_undisturbed_run(finished, data, tmp_path):
    folder, _ = finished
    run(data, tmp_path, load_from=str(folder / "iter_3.pth"), resume=True)
    assert_same_run(*(torch.load(at / "iter_5.pth", weights_only=False) for at in (tmp_path, folder)))


def test_a_checkpoint_of_another_head_is_a_start_for_all_teachers(finished, data, tmp_path):
    changes = dict(decode_head=head_config(channels=24))
    run(data, tmp_path, 1, changes, load_from=str(finished[0] / "iter_3.pth"))
    name, saved = "module.decode_head.conv_seg.weight", read(tmp_path, 1)
    student, other = saved["ema_state_dict"][name], saved["other_teachers"][0][name]
    assert other.shape == student.shape and other.shape[1] == 24


@pytest.mark.parametrize("augmented", [False, True])
def test_a_test_has_all_teachers(finished, tmp_path, augmented):
    folder, runner = finished
    cfg = runner.cfg.copy()
    cfg.update(work_dir=str(tmp_path), load_from=str(folder / "iter_5.pth"), experiment_name=f"psmt_test{augmented}")
    if augmented:
        cfg.model = dict(type="SegTTAModel", module=cfg.model)
    cfg.update(test_dataloader=cfg.val_dataloader, test_cfg=dict(type="TestLoop"), test_evaluator=cfg.val_evaluator)
    tested = Runner.from_cfg(cfg)
    if augmented:
        tested.call_hook("before_run")
        tested.load_or_resume()
        tested.call_hook("before_test_epoch")
        assert len(tested.model.module.other_teachers) == 1
    else:
        tested.test()
    assert_same_state(averages(tested)[1].state_dict(), read(folder, 5)["other_teachers"][0])


def logits_of(model, images):
    with torch.no_grad():
        return model.encode_decode(images, [dict(img_shape=(CROP, CROP), ori_shape=(CROP, CROP))] * len(images))


def test_the_mean_of_the_teachers_is_evaluated_and_exported(finished):
    """By the model of the training, one that is loaded, and an exported one."""
    folder, runner = finished
    images, content = torch.randn(2, 3, CROP, CROP), read(folder, 5)
    hook = next(hook for hook in runner.hooks if hasattr(hook, "teachers"))
    expected = torch.stack([logits_of(teacher.module.eval(), images) for teacher in hook.teachers]).mean(0)
    hook.before_val_epoch(runner)
    got = logits_of(runner.model.eval(), images)
    hook.after_val_epoch(runner)
    loaded = load_model(runner.cfg, content, "x.pth")[0]
    plain, which = make_plain(*as_ensemble(runner.cfg, content, "x.pth"), "x.pth")
    for logits in (got, logits_of(loaded, images), logits_of(plain.model, images)):
        torch.testing.assert_close(logits, expected)
    assert which == "ema" and not runner.model.other_teachers
    first = make_plain(runner.cfg, content, "x.pth")[0].model
    torch.testing.assert_close(logits_of(first, images), logits_of(hook.teachers[0].module, images))


def test_an_ensemble_needs_several_teachers_and_no_neck(finished):
    cfg, content = finished[1].cfg.copy(), read(finished[0], 5)
    cfg.model = model_config(**MODEL | dict(neck=neck_config()))
    with pytest.raises(ValueError, match="neck"):
        as_ensemble(cfg, content, "x.pth")
    content.pop("other_teachers")
    with pytest.raises(ValueError, match="x.pth has not several teachers"):
        as_ensemble(cfg, content, "x.pth")


def test_teachers_with_the_memory_of_another_crop_are_loaded(finished):
    cfg, state = finished[1].cfg.copy(), psmt(neck=neck_config(memory_size=(2, 3))).state_dict()
    average = {f"module.{key}": value for key, value in state.items()}
    content = read(finished[0], 5) | dict(state_dict=state, ema_state_dict=average, other_teachers=[average])
    cfg.model = model_config(**MODEL | dict(neck=neck_config(memory_size=(4, 4))))
    (other,) = load_model(cfg, content, "x.pth")[0].other_teachers
    assert all(torch.equal(value, state[name]) for name, value in other.named_parameters())


def test_a_resting_teacher_keeps_its_largest_logits():
    core, other = torch.randn(2, 2, 9, 4, 5)
    mean = assisted_mean([core, other], 0, 3)
    own = 2 * mean - core
    torch.testing.assert_close(own.topk(3, 1).values[:, :3].sum(), own.topk(3, 1).values.sum())
    assert ((own - other).abs() < 1e-6).sum(1).eq(3).all() and ((own - core).abs() < 1e-6).sum(1).eq(6).all()
    for topk in (9, 20, None):
        torch.testing.assert_close(assisted_mean([core, other], 1, topk), (core + other) / 2)
    torch.testing.assert_close(assisted_mean([core, core.clone()], 0, 3), core)
    assert assisted_mean([core], 1, 3) is core


@pytest.mark.parametrize("steps", [1, 3])
def test_noise_has_its_length_and_changes_more_than_chance(steps):
    torch.manual_seed(0)
    decoder, features = nn.Conv2d(6, 4, 3, padding=1), torch.randn(2, 6, 7, 8)
    noise = adversarial_noise(decoder, features, eps=0.5, steps=steps)
    torch.testing.assert_close(noise.flatten(1).norm(dim=1), torch.full((2,), 0.5), rtol=1e-3, atol=0.0)
    random = torch.randn_like(features)
    random *= 0.5 / random.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    changes = [(decoder(features + r).softmax(1) - decoder(features).softmax(1)).abs().sum() for r in (noise, random)]
    assert changes[0] > 2 * changes[1]
    assert decoder.weight.grad is None and not noise.requires_grad


def test_noise_of_length_0_is_none_and_teachers_stay():
    """Neither their weights, gradients and statistics, nor their modes change."""
    plain, still = psmt(vat=None).eval(), psmt(vat=dict(eps=0.0)).eval()
    batch, teacher = semi_batch(plain), psmt(seed=1)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    noise = still.noise([teacher.decode_head], torch.randn(2, 64, 9, 9), (CROP, CROP))
    assert_same_state(dict(teacher.state_dict()), before)
    assert noise.shape == (2, 64, 9, 9) and teacher.decode_head.training
    assert all(parameter.grad is None for parameter in teacher.parameters())
    labeler, losses = Labeler(4 * torch.randn(2, 4, CROP, CROP)), []
    labeler.decode_head = psmt(seed=2).decode_head
    for model in (plain, still):
        torch.manual_seed(0)
        model.cutmix = None
        losses.append(model(**batch | dict(step=Step(labelers=(labeler,))), mode="loss"))
    torch.testing.assert_close(*[loss["unsup.decode.loss_ce"] for loss in losses])
    with pytest.raises(TypeError, match="model.vat has no key 'epsilon'"):
        psmt(vat=dict(epsilon=1.0))
