import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from mmseg_allspark.models import SigmoidFocalLoss


def target(*shape):
    return torch.randn(shape).softmax(dim=1)


@pytest.mark.parametrize("classes", [2, 21])
def test_focal_loss_of_zero_logits_is_known_whatever_the_target(classes):
    loss = SigmoidFocalLoss()(torch.zeros(2, classes, 3, 5), target(2, classes, 3, 5))
    assert loss.shape == (2, 3, 5)
    torch.testing.assert_close(loss, torch.full((2, 3, 5), 10 * math.log(2) * 0.5 * math.sqrt(0.5)))
    assert loss.mean().item() == pytest.approx(2.4506, abs=1e-4)


@pytest.mark.parametrize(("gamma", "alpha"), [(0.5, 0.5), (2.0, 0.25), (0.0, 0.5)])
def test_focal_loss_is_its_formula(gamma, alpha):
    logits, goal = 3 * torch.randn(2, 4, 5, 6), target(2, 4, 5, 6)
    y = one_hot(goal.argmax(dim=1), 4).permute(0, 3, 1, 2).float()
    p = logits.sigmoid()
    q = (1 - p) * y + p * (1 - y)
    weight = (alpha * y + (1 - alpha) * (1 - y)) * q**gamma
    expected = weight * binary_cross_entropy_with_logits(logits, y, reduction="none")
    loss = SigmoidFocalLoss(gamma=gamma, alpha=alpha, loss_weight=3.0)(logits, goal)
    torch.testing.assert_close(loss, 3 * expected.mean(dim=1))


@pytest.mark.parametrize("size", [1.0, 50.0, 1e4])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("autocast", [False, True])
def test_focal_loss_and_gradient_are_finite(size, sign, autocast):
    logits = torch.full((1, 3, 2, 2), sign * size, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = SigmoidFocalLoss()(logits.bfloat16() if autocast else logits, target(1, 3, 2, 2))
    loss.mean().backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss).all() and torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0
