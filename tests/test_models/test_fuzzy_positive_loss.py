"""Fuzzy positives: what FPL's figures do not show."""

import pytest
import torch
from builders import build_model, semi_batch
from torch.nn.functional import cross_entropy

from mmseg_allspark.models import FuzzyPositiveLoss

KINDS = ("concave", "linear", "convex")


def logits(classes=6, seed=0, scale=2.0):
    return scale * torch.randn(2, classes, 5, 4, generator=torch.Generator().manual_seed(seed))


def gradient(loss, student, target):
    student = student.clone().requires_grad_()
    return torch.autograd.grad(loss(student, target).mean(), student)[0]


@pytest.mark.parametrize(("classes", "options"), [(6, dict(max_positives=1)), (6, dict(threshold=0.1)), (2, {})])
def test_one_positive_is_cross_entropy(classes, options):
    student, target = logits(classes), logits(classes, 1)
    fuzzy = FuzzyPositiveLoss(weight="none", balance=False, **options)
    plain = lambda values, target: cross_entropy(values, target.argmax(1), reduction="none")  # noqa: E731
    torch.testing.assert_close(fuzzy(student, target), plain(student, target))
    torch.testing.assert_close(gradient(fuzzy, student, target), gradient(plain, student, target))


NUMBERS = [((0.95, 0.03, 0.02), 1), ((0.85, 0.06, 0.09), 1), ((0.5, 0.3, 0.15), 2), ((0.3, 0.25, 0.2), 3)]


@pytest.mark.parametrize(("probability", "number"), NUMBERS)
def test_number_of_positives(probability, number):
    rest = (1.0 - sum(probability)) / 3
    target = torch.tensor([*probability, *[max(rest, 1e-6)] * 3]).log()[None, :, None, None]
    assert FuzzyPositiveLoss().positives(target)[1].sum() == number


def test_positives_are_pushed_up_and_all_others_down():
    student, target = logits(), logits(seed=1, scale=0.5)
    fuzzy = FuzzyPositiveLoss(balance=False)
    classes, is_positive, _ = fuzzy.positives(target)
    assert is_positive.sum(1).max() == 3
    positive = torch.zeros_like(student, dtype=torch.bool).scatter(1, classes, is_positive)
    slope = gradient(fuzzy, student, target)
    assert (slope[positive] <= 0).all() and (slope[~positive] >= 0).all() and slope.abs().max() > 0
    torch.testing.assert_close(slope.sum(1), torch.zeros(2, 5, 4), atol=1e-7, rtol=0)


def test_a_constant_added_to_all_classes_changes_nothing():
    student, target = logits(), logits(seed=1)
    shift = logits(1, 2, 10.0)
    fuzzy = FuzzyPositiveLoss()
    torch.testing.assert_close(fuzzy(student + shift, target + shift), fuzzy(student, target), atol=1e-4, rtol=1e-4)


def test_weights_are_ordered_and_vanish_where_the_label_separates_nothing():
    target = logits(seed=1)
    weights = [FuzzyPositiveLoss(weight=kind).positives(target)[2] for kind in KINDS]
    assert all((weight >= 0).all() and (weight <= 1).all() for weight in weights)
    assert all((larger >= smaller - 1e-6).all() for larger, smaller in zip(weights, weights[1:], strict=False))
    for kind in KINDS:
        assert FuzzyPositiveLoss(weight=kind).positives(torch.zeros(1, 5, 2, 2))[2].max() == 0


def test_shares_of_pixels_by_their_number_of_positives_add_up():
    fuzzy = FuzzyPositiveLoss()
    fuzzy(logits(), logits(seed=1))
    assert sum(fuzzy.figures[f"unsup.positives_{name}"] for name in ("1", "2", "3_or_more")) == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_logits_are_finite(dtype):
    student = (5000.0 * logits()).to(dtype)
    for target in (student, -student, torch.zeros_like(student)):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            assert torch.isfinite(FuzzyPositiveLoss()(student, target)).all()
            assert torch.isfinite(gradient(FuzzyPositiveLoss(), student, target)).all()


@pytest.mark.parametrize(
    "options",
    [
        dict(type="SemiSegmentor"),
        dict(type="UniMatchSegmentor"),
        dict(type="UniMatchV2Segmentor", keep_share=1.0),
        dict(type="MeanTeacherSegmentor", consistency="ce"),
    ],
    ids=lambda options: options["type"],
)
def test_any_method_takes_it(options):
    batch = None
    found = []
    for pseudo_loss in (None, dict(type="FuzzyPositiveLoss")):
        model = build_model(neck=None, mask_padding=False, confidence=None, pseudo_loss=pseudo_loss, **options).train()
        batch = batch or semi_batch(model)
        batch["inputs"] |= {name: batch["inputs"]["strong"] for name in ("strong1", "strong2")}
        torch.manual_seed(0)
        losses = model(**batch, mode="loss")
        names = ("unsup.decode.loss_ce", "unsup.decode.loss_feature", "unsup.decode.loss_strong1")
        (name,) = (name for name in losses if name in names)
        (slope,) = torch.autograd.grad(losses[name], model.decode_head.conv_seg.bias)
        found.append((losses, losses[name], slope))
    (without, plain, flat), (log, fuzzy, slope) = found
    torch.testing.assert_close(fuzzy, plain, rtol=1e-4, atol=1e-5)  # balanced
    assert not torch.allclose(slope, flat, rtol=1e-2)
    assert "unsup.positives_2" in log and "unsup.positives_2" not in without


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(type="MeanTeacherSegmentor"), "consistency='ce'"),
        (dict(type="GuidedMixSegmentor"), "model.unsup_loss"),
        (dict(type="SemiSegmentor", pseudo_loss=dict(threshold=0.9)), "model.pseudo_loss.*has no type"),
    ],
)
def test_refused_where_it_would_do_nothing(options, words):
    with pytest.raises((ValueError, KeyError), match=words):
        build_model(**dict(neck=None, pseudo_loss=dict(type="FuzzyPositiveLoss")) | options)
