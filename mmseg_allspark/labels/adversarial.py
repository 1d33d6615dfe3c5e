"""Virtual adversarial training: the small change of features that changes a prediction most (arXiv 1704.03976)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def adversarial_noise(
    decode: Callable[[Tensor], Tensor],
    features: Tensor,
    *,
    xi: float = 0.1,
    eps: float = 2.0,
    steps: int = 1,
    draw: Tensor | None = None,
) -> Tensor:
    """Find noise for features that moves a decoder's prediction away from what it is.

    A random direction is turned by the gradient of the Kullback-Leibler divergence at a distance ``xi``. At ``xi`` = 0
    the divergence has no gradient, and a distance below the rounding of the features gives the rounding's direction:
    features of size 1 in float32 need about 0.01. It is computed without autocast.

    Args:
        decode: Features (B, C, h, w) -> logits (B, K, H, W). Its parameters get no gradient.
        features: (B, C, h, w); they get no gradient.
        xi: Distance at which the gradient is taken. Default 0.1.
        eps: Length of the noise of an image. Default 2.
        steps: How often the direction is turned. Default 1.
        draw: (B, C, h, w) in [0, 1), of which the direction is made at first. Default None, drawn.

    Returns:
        (B, C, h, w) without a graph; its norm for each image is ``eps``, less only where the gradient vanishes.
    """
    with torch.autocast(device_type=features.device.type, enabled=False), torch.enable_grad():
        features = features.detach().to(torch.promote_types(features.dtype, torch.float32))
        with torch.no_grad():
            prob = decode(features).softmax(dim=1)
        direction = _unit((torch.rand_like(features) if draw is None else draw) - 0.5)
        for _ in range(steps):
            direction.requires_grad_()
            moved = decode(features + xi * direction).log_softmax(dim=1)
            divergence = F.kl_div(moved, prob, reduction="batchmean")
            direction = _unit(torch.autograd.grad(divergence, direction)[0])
    return eps * direction


def _unit(values: Tensor) -> Tensor:
    """Divide by the norm of each image; nearly 0 stays nearly 0."""
    return values / (values.flatten(1).norm(dim=1).view(-1, 1, 1, 1) + 1e-8)
