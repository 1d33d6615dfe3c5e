import math

import pytest
import torch
from builders import head_config, sample_with_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.registry import MODELS

from mmseg_allspark.models import OhemLoss


def oracle(score, target, thresh, min_kept, ignore_index=255):
    """Mean cross-entropy over the hard pixels, pixel by pixel."""
    pixels = []
    for image, labels in zip(score.double(), target, strict=True):
        for row in range(labels.shape[0]):
            for column in range(labels.shape[1]):
                label = int(labels[row, column])
                if label == ignore_index:
                    pixels.append((1.0, None))
                else:
                    loss = -image[:, row, column].log_softmax(dim=0)[label].item()
                    pixels.append((math.exp(-loss), loss))
    losses = [loss for _, loss in pixels if loss is not None]
    if not losses:
        return 0.0
    if len(losses) >= min_kept:
        kth = sorted(probability for probability, _ in pixels)[min_kept - 1]
        # the threshold is one of the probabilities itself: leave room for rounding
        losses = [loss for p, loss in pixels if loss is not None and p <= max(thresh, kth) + 1e-6]
    return sum(losses) / len(losses)


@settings(max_examples=40, deadline=None)
@given(
    thresh=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    min_kept=st.integers(1, 40),
    ignored=st.sampled_from([0.0, 0.3, 0.9]),
    seed=st.integers(0, 999),
)
def test_equals_the_loop(thresh, min_kept, ignored, seed):
    torch.manual_seed(seed)
    score, target = 2 * torch.randn(2, 3, 3, 5), torch.randint(0, 3, (2, 3, 5))
    target[torch.rand(2, 3, 5) < ignored] = 255
    got = OhemLoss(thresh=thresh, min_kept=min_kept)(score, target)
    assert got.item() == pytest.approx(oracle(score, target, thresh, min_kept), rel=1e-5, abs=1e-6)


def test_hard_pixels_only_get_a_gradient():
    score = torch.tensor([[5.0, 0.0, 0.0], [0.0, 0.0, 3.0]]).view(1, 2, 1, 3).requires_grad_()
    loss = OhemLoss(thresh=0.7, min_kept=1)(score, torch.zeros(1, 1, 3, dtype=torch.int64))
    loss.backward()
    assert (score.grad.abs().sum(dim=1) > 0).flatten().tolist() == [False, True, True]
    assert loss.item() == pytest.approx((math.log(2) + math.log(1 + math.exp(3))) / 2, rel=1e-5)


def test_ties_at_the_threshold_are_all_kept():
    score = torch.zeros(1, 2, 2, 3, requires_grad=True)
    OhemLoss(thresh=0.1, min_kept=2)(score, torch.zeros(1, 2, 3, dtype=torch.int64)).backward()
    assert (score.grad != 0).all()


def test_all_ignored_is_zero_with_a_gradient():
    score = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = OhemLoss()(score, torch.full((1, 2, 2), 255))
    loss.backward()
    assert loss.item() == 0.0
    assert score.grad.abs().sum() == 0.0


def test_works_inside_a_head_with_weight_and_name():
    head = MODELS.build(head_config(loss_decode=dict(type="OhemLoss", min_kept=5, loss_weight=0.5)))
    logits, mask = torch.randn(1, 4, 6, 6), torch.randint(0, 4, (6, 6))
    losses = head.loss_by_feat(logits, [sample_with_mask(mask)])
    expected = 0.5 * oracle(logits, mask[None], 0.7, 5)
    assert losses["loss_ohem"].item() == pytest.approx(expected, rel=1e-5)


def test_pixel_sampler_beside_it_is_refused():
    with pytest.raises(ValueError, match="decode_head.sampler"):
        OhemLoss()(torch.randn(1, 2, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64), weight=torch.ones(1, 2, 2))
