"""Semantic augmentation of features, as its effect on logits (ISDA, arXiv 1909.12220; MKD, arXiv 2208.11499).

Legend: B images, K classes, A channels of the features before the classifier.
"""

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import Tensor

from mmseg_allspark.models.pixel_rows import pixel_rows
from mmseg_allspark.utils.checks import PositiveInt, check_types


class SemanticAugmentation(BaseModule):
    """Variance of the features of each class, and the logits that they give when they are varied by it.

    The statistics are those of all pixels seen so far, on all ranks; they forget nothing. They are float32.

    Args:
        num_classes: Classes K.
        channels: Channels A.

    Buffers: ``amount`` (K,) pixels seen, ``mean`` and ``variance`` (biased) (K, A); all start at 0.
    """

    training_only = True

    @check_types
    def __init__(self, num_classes: PositiveInt, channels: PositiveInt) -> None:
        super().__init__()
        self.register_buffer("amount", torch.zeros(num_classes))
        self.register_buffer("mean", torch.zeros(num_classes, channels))
        self.register_buffer("variance", torch.zeros(num_classes, channels))

    @torch.no_grad()
    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add the pixels of a step.

        Args:
            features: (B, A, h, w).
            labels: (B, h, w) int64; K where there is no class.
        """
        rows, ids = pixel_rows(features).float(), labels.flatten()
        total, amount = self._sums(F.pad(rows, (0, 1), value=1.0), ids)[:-1].split([rows.shape[1], 1], dim=1)
        mean = total / amount.clamp(min=1)
        spread = self._sums((rows - F.pad(mean, (0, 0, 0, 1))[ids]).square(), ids)[:-1]
        variance, share = spread / amount.clamp(min=1), amount / (amount + self.amount[:, None]).clamp(min=1)
        drift = (self.mean - mean).square()
        self.variance.copy_((1 - share) * self.variance + share * variance + share * (1 - share) * drift)
        self.mean.lerp_(mean, share)
        self.amount.add_(amount[:, 0])

    def augment(self, logits: Tensor, labels: Tensor, weight: Tensor, ratio: float) -> Tensor:
        """Logits of features that vary as those of their class do: an upper bound of the expected cross-entropy.

        Logit k of a pixel of class y grows by ratio / 2 * sum over a of (w_ka - w_ya)^2 variance_ya.

        Args:
            logits: (B, K, h, w).
            labels: (B, h, w) int64; K where there is no class, and where the logits stay as they are.
            weight: (K, A) or (K, A, 1, 1), of the classifier that gave the logits; it gets no gradient.
            ratio: How far the features vary, at least 0.

        Returns:
            (B, K, h, w) float32, with the gradient of ``logits``.
        """
        weight = weight.detach().flatten(1).float()
        growth = ((weight - weight[:, None]).square() * self.variance[:, None]).sum(dim=2)
        growth = F.pad(growth, (0, 0, 0, 1)) * (ratio / 2)  # the last row is that of no class
        return logits.float() + F.embedding(labels, growth).movedim(-1, 1)

    def _sums(self, rows: Tensor, ids: Tensor) -> Tensor:
        """Sum of the rows (N, D) of each class on all ranks, (K + 1, D)."""
        total = rows.new_zeros(len(self.amount) + 1, rows.shape[1]).index_add_(0, ids, rows)
        all_reduce(total)
        return total
