"""MKD: what the running variances are, what they do to logits, and who learns from whom."""

import math

import pytest
import torch
from builders import CROP, build_model, semi_batch
from torch.nn.functional import cross_entropy, interpolate

from mmseg_allspark.models import SemanticAugmentation, TeacherAverage

CLASSES = 4


def mkd(seed=0, **changes):
    return build_model(seed, **dict(type="MKDSegmentor", neck=None, labels_in="eval") | changes).train()


def losses_of(model, teacher, seed=3, **step):
    torch.manual_seed(seed)
    return model(**semi_batch(model, labels_from="ema", labelers=(teacher,), **step), mode="loss")


def pixels(number=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(number, 6, 5, 4, generator=rng) + 3
    return features, torch.randint(0, CLASSES + 1, (number, 5, 4), generator=rng)  # the last is no class


def test_what_leaves_the_logits_as_they_are_and_which_gradients_pass():
    module, (features, labels) = SemanticAugmentation(CLASSES, 6), pixels()
    module.update(features, labels)
    logits, weight = torch.randn(3, CLASSES, 5, 4, requires_grad=True), torch.randn(CLASSES, 6, requires_grad=True)
    got = module.augment(logits, labels, weight, 0.8)
    assert torch.equal(module.augment(logits, labels, weight, 0.0), logits)
    assert torch.equal(module.augment(logits, labels, weight[:1].expand(CLASSES, 6), 0.8), logits)
    upstream = torch.randn_like(got)
    gradient, of_weight = torch.autograd.grad(got, (logits, weight), upstream, allow_unused=True)
    assert torch.equal(gradient, upstream) and of_weight is None


def small(logits):
    return interpolate(logits, size=(8, 8), mode="bilinear", align_corners=False)


def test_each_student_learns_from_the_other_side():
    model, teacher = mkd(cutmix=None, ratio_end=0.0), mkd(seed=1)
    batch = semi_batch(model)
    images = [torch.cat([batch["inputs"]["labeled"], batch["inputs"][view]]) for view in ("strong", "weak")]
    networks = [
        (net, one, views) for one, views in ((model, images[0]), (teacher, images[1])) for net in (one, one.second)
    ]
    losses = losses_of(model, teacher)
    logits = [small(net.decode_head(net.backbone(views))) for net, _, views in networks[:2]]
    teacher.eval()
    with torch.no_grad():
        logits += [small(net.decode_head(net.backbone(views))) for net, _, views in networks[2:]]
    labels = [one.argmax(1) for one in logits]
    for name, own, other in (("decode", 0, 1), ("second", 1, 0)):
        expected = 1.5 * cross_entropy(logits[own], labels[other + 2])
        torch.testing.assert_close(losses[f"unsup.{name}.loss_teacher"], expected)
        torch.testing.assert_close(losses[f"unsup.{name}.loss_student"], cross_entropy(logits[own], labels[other]))
    assert losses["unsup.moved_targets"] == 0


def test_teachers_are_mixed_as_the_images_are():
    model, teacher = mkd(), mkd(seed=1)
    batch = semi_batch(model, labelers=(teacher,))
    batch["inputs"]["strong"] = torch.arange(2.0)[:, None, None, None].expand(2, 3, CROP, CROP)
    pseudo = model.label(*batch.values())
    images, mixed = model.mix(*list(batch.values())[:2], pseudo, batch["step"])
    source = mixed.extras["source"]
    assert torch.equal(source.float(), images[:, 0]) and 0 < source[0].float().mean() < 0.6
    first, _ = batch["step"].record["teachers"]
    joint = model.joint_pass(*list(batch.values())[:2], images, mixed, batch["step"])
    got, at = model._mix(first, joint), [int(row * CROP / 17) for row in range(17)]
    where = source[:, at][:, :, at, None] == 1
    for values, plain in ((got.logits, first.logits), (got.hidden, first.hidden)):
        torch.testing.assert_close(values[:2], plain[:2])
        plain = plain.movedim(1, -1)
        torch.testing.assert_close(values[2:].movedim(1, -1), torch.where(where, plain[3], plain[2]))


@pytest.mark.parametrize(("done", "ratio"), [(0, 0.0366), (4, 0.75), (9, 1.5)])
def test_the_ratio_rises_to_its_end(done, ratio, monkeypatch):
    seen, augment = [], SemanticAugmentation.augment
    monkeypatch.setattr(SemanticAugmentation, "augment", lambda *args: seen.append(args[-1]) or augment(*args))
    losses_of(mkd(), mkd(seed=1), iteration=done, max_iters=10)
    assert len(seen) == 8 and seen[0] == pytest.approx(1.5 * (1 - math.cos(math.pi * (done + 1) / 10)) / 2)
    assert seen[-1] == pytest.approx(ratio, abs=1e-3)


def test_plain_targets_are_the_argmax_without_augmentation():
    losses = {targets: losses_of(mkd(targets=targets), mkd(seed=1)) for targets in ("augmented", "plain")}
    moved = losses["plain"]["unsup.moved_targets"]
    assert moved > 0 and moved == losses["augmented"]["unsup.moved_targets"]
    assert losses["plain"]["unsup.decode.loss_teacher"] != losses["augmented"]["unsup.decode.loss_teacher"]


def test_weights_of_zero_leave_the_supervised_losses():
    losses = losses_of(mkd(teacher_weight=0.0, student_weight=0.0), mkd(seed=1))
    assert all((value == 0) == name.startswith("unsup") for name, value in losses.items() if "loss" in name)


def test_the_teacher_has_the_students_variances_and_no_gradient():
    model = mkd()
    teacher = TeacherAverage(model, momentum=0.4, warmup=True, buffers="own")
    sum(value for name, value in losses_of(model, teacher.module).items() if "loss" in name).backward()
    assert all(parameter.grad is None for parameter in teacher.module.parameters())
    before = model.augmentations[2].variance.clone()
    for _ in range(2):
        teacher.update_parameters(model)
    assert teacher.module.augmentations is model.augmentations
    assert before.any() and torch.equal(model.augmentations[2].variance, before)
