"""One label from two differently made predictions (PseudoSeg, ICLR 2021, arXiv 2010.09713).

Legend: S predictions of the same images, B images, K classes, (h, w) size of the logits.
"""

import math
from typing import Literal

import torch
from torch import Tensor


def equalize_logits(logits: Tensor, per: Literal["batch", "image"] = "batch") -> Tensor:
    """Divide the logits of several predictions by their common root mean square.

    Args:
        logits: (S, B, K, h, w) float32.
        per: ``'batch'``: one root mean square for all images; ``'image'``: one for each. Default ``'batch'``.

    Returns:
        (S, B, K, h, w) float32.
    """
    dim = (0, 1, 2, 3, 4) if per == "batch" else (0, 2, 3, 4)
    return logits / (logits.square().mean(dim=dim, keepdim=True) + 1e-8).sqrt()


def fuse_predictions(
    logits: tuple[Tensor, ...], temperature: float = 0.5, per: Literal["batch", "image"] = "batch"
) -> Tensor:
    """Mean of the probabilities of equalized logits, sharpened.

    Args:
        logits: Each (B, K, h, w).
        temperature: Below 1 the mean is sharpened; at 1 it stays as it is. Default 0.5.
        per: That of :func:`equalize_logits`. Default ``'batch'``.

    Returns:
        Logits (B, K, h, w) float32, whose softmax is the sharpened mean.
    """
    log_prob = equalize_logits(torch.stack([each.float() for each in logits]), per).log_softmax(dim=2)
    return (log_prob.logsumexp(dim=0) - math.log(len(logits))) / temperature
