"""AEL's confidence bank: how well each class is doing (arXiv 2110.05474)."""

from typing import Literal

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import Tensor

from mmseg_allspark.utils.checks import PositiveInt, Share, check_types


class ClassConfidenceBank(BaseModule):
    """Running mean, for each class, of the probability that labeled pixels of this class have for it.

    The means are over the images of all ranks, so that the bank is equal on all ranks. It is a buffer: a checkpoint has
    it, and a resumed training goes on with it. A teacher has its student's.

    Args:
        num_classes: Classes K.
        momentum: Share of the old value in an update. Default 0.999.
        absent: What a class counts that a step does not show. ``'decay'``, as in the release: 0, so that its value
            decreases; ``'keep'``: its value stays. Default ``'decay'``.
        per: Mean over all pixels of the ``'batch'``, as in the release, or over the pixels of each ``'image'`` and then
            over the images with the class, as in the paper (equation 4). Default ``'batch'``.
    """

    training_only = True
    copied_by_teacher = True

    @check_types
    def __init__(
        self,
        num_classes: PositiveInt,
        momentum: Share = 0.999,
        absent: Literal["decay", "keep"] = "decay",
        per: Literal["batch", "image"] = "batch",
    ) -> None:
        super().__init__()
        self.momentum, self.absent, self.per = momentum, absent, per
        self.register_buffer("confidence", torch.zeros(num_classes))

    @torch.no_grad()
    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Follow a step.

        Args:
            logits: (B, K, H, W) of the labeled images.
            labels: (B, H, W) int64; what is not in [0, K) does not count.
        """
        sums = self._sums(logits, labels)
        all_reduce(sums)
        total, count = sums
        mean = total / count.clamp(min=1)
        step = 1.0 - self.momentum
        self.confidence.lerp_(mean, step * (count > 0) if self.absent == "keep" else torch.full_like(mean, step))

    def _sums(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(2, K): for each class the sum of its probabilities, and how many pixels or images it is over."""
        known = (labels >= 0) & (labels < len(self.confidence))
        index = torch.where(known, labels, 0)
        own = logits.float().softmax(dim=1).gather(1, index[:, None])[:, 0]
        index = index.flatten(1)
        total, count = (
            own.new_zeros(len(own), len(self.confidence)).scatter_add_(1, index, values.flatten(1))
            for values in (own * known, known.float())
        )
        if self.per == "image":
            total, count = total / count.clamp(min=1), (count > 0).float()
        return torch.stack([total.sum(dim=0), count.sum(dim=0)])


def sampling_rates(confidence: Tensor, power: float = 1.0) -> Tensor:
    """Share of its pixels with which each class is learned from; 1 for the least confident class (equation 10).

    Args:
        confidence: (K,) in [0, 1], of the bank.
        power: Beta of the paper's rate; 0: all pixels. Default 1.

    Returns:
        (K,) in [0, 1].
    """
    unsure = 1.0 - confidence
    return (unsure / unsure.amax().clamp(min=1e-12)) ** power


def draw_classes(logits: Tensor, count: int) -> Tensor:
    """Draw classes with replacement, without a copy to the host.

    Args:
        logits: (K,); a class is drawn with the probability that their softmax gives, never with a logit of -inf.
        count: How many.

    Returns:
        (count,) int64.
    """
    # the largest of logits with Gumbel noise is distributed as their softmax
    noise = torch.empty(count, len(logits), device=logits.device).exponential_()
    return (logits - noise.log()).argmax(dim=1)
