"""Distribution alignment: pseudo labels with the class shares of the labeled images."""

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.labels.pseudo_label import masked_mean
from mmseg_allspark.labels.statistics import count_per_class
from mmseg_allspark.utils.checks import PositiveInt, Share, check_types


@MODELS.register_module()
class DistributionAlignment(BaseModule):
    """Shift pseudo logits so that the classes appear as often as in the labeled images.

    Self-training drifts towards the classes it predicts most. Adding log(prior of the labels / running mean
    of the predictions) per class removes the drift (distribution alignment, ReMixMatch, section 3.1). Both means
    are over the images of all ranks.

    Args:
        num_classes: Classes K.
        momentum: Step of both running means. Default 0.01.
    """

    training_only = True

    @check_types
    def __init__(self, num_classes: PositiveInt, momentum: Share = 0.01) -> None:
        super().__init__()
        self.momentum = momentum
        uniform = torch.full((num_classes,), 1.0 / num_classes)
        self.register_buffer("labeled_prior", uniform.clone())
        self.register_buffer("predicted_prior", uniform.clone())
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, logits: Tensor) -> Tensor:
        """Align: (B, K, H, W) logits -> the same shape."""
        shift = self.labeled_prior.clamp(min=1e-6).log() - self.predicted_prior.clamp(min=1e-6).log()
        return logits + shift.to(logits.dtype)[None, :, None, None]

    @torch.no_grad()
    def update(self, labels: Tensor, logits: Tensor, ignore_index: int = 255, valid: Tensor | None = None) -> None:
        """Update both running means.

        Args:
            labels: (B_l, H, W) int64 labels of the labeled images.
            logits: (B_u, K, H, W) raw logits of the unlabeled images.
            ignore_index: Label not counted. Default 255.
            valid: (B_u, H, W) bool, False on padding, which has no part in the predictions. Default None.
        """
        counts = count_per_class(labels != ignore_index, labels, len(self.labeled_prior))
        valid = None if valid is None else valid[:, None]
        predicted = masked_mean(logits.float().softmax(dim=1), valid, dim=(0, 2, 3))
        all_reduce(counts)
        all_reduce(predicted, op="mean")
        # Equal weights at first, so that the uniform start is forgotten at once.
        step = torch.clamp(1.0 / (self.updates + 1.0), min=self.momentum)
        labeled = counts.sum()
        self.labeled_prior.lerp_(counts / labeled.clamp(min=1.0), step * (labeled > 0))
        self.predicted_prior.lerp_(predicted, step)
        self.updates.add_(1)
