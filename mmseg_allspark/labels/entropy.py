"""How unsure a model is of each pixel, and the pixels that it is the most or the least sure of.

Legend: B images, K classes, (H, W) image size in pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def prediction_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax in nats: (B, K, H, W) -> (B, H, W) float32."""
    prob = logits.float().softmax(dim=1)
    return -(prob * (prob + 1e-10).log()).sum(dim=1)


@torch.no_grad()
def max_probability(logits: Tensor) -> Tensor:
    """Probability of the likeliest class: (B, K, H, W) -> (B, H, W) float32."""
    return logits.float().softmax(dim=1).amax(dim=1)


@torch.no_grad()
def masked_quantiles(values: Tensor, mask: Tensor, shares: Sequence[float]) -> Tensor:
    """Quantiles of the values inside a mask, linear between two neighbours as NumPy's.

    ``torch.quantile`` takes at most 16 million values, and selecting the values would make the host wait for a GPU.

    Args:
        values: Any shape, finite.
        mask: Same shape, bool.
        shares: Each in [0, 1].

    Returns:
        As many numbers as ``shares``; infinity where the mask is empty.
    """
    ordered = torch.where(mask, values.float(), torch.inf).flatten().sort().values
    last = (mask.sum() - 1).clamp(min=0)
    position = torch.stack([last.double() * share for share in shares])
    below = position.floor().long()
    lower, upper = ordered[below], ordered[torch.minimum(below + 1, last)]
    return torch.where(lower == upper, lower, lower + (upper - lower) * (position - below).float())
