"""Which pseudo labels count: thresholds of confidence."""

import inspect
from typing import Annotated, Literal

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.labels.pseudo_label import masked_mean
from mmseg_allspark.labels.statistics import count_per_class
from mmseg_allspark.utils.checks import Between, PositiveInt, Share, check_has_type, check_types


@MODELS.register_module()
class ConfidenceThreshold(BaseModule):
    """Keep what the model is sure of; confidence = largest softmax probability.

    Args:
        threshold: One number in [0, 1] for all classes, or a sequence with one per class.
        per: ``'pixel'``: a pixel under the threshold of its class does not count. ``'image'``: all pixels of
            an image count with the share of its pixels at or above the threshold. ``'batch'``: all pixels of the
            batch count with the share of the batch. Padding that is marked has no part in a share. Default ``'pixel'``.
        num_classes: Classes K; a sequence of thresholds has to be as long. The model fills it in. Default
            None, not checked.

    Raises:
        ValueError: If a threshold is outside [0, 1] or there are not as many as classes.
    """

    @check_types
    def __init__(
        self,
        threshold: Share | list[Share],
        per: Literal["pixel", "image", "batch"] = "pixel",
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        values = [threshold] if isinstance(threshold, (int, float)) else list(threshold)
        if num_classes is not None and len(values) not in (1, num_classes):
            raise ValueError(
                f"confidence.threshold has {len(values)} values but the model has {num_classes} classes: give "
                "one number for all, or one per class."
            )
        self.per = per
        self.register_buffer("threshold", torch.tensor(values, dtype=torch.float32), persistent=False)

    def forward(self, confidence: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
        """Weight of each pixel.

        Args:
            confidence: (B, H, W) in [0, 1].
            label: (B, H, W) int64.
            valid: (B, H, W) bool, False on padding. Default None, no padding.

        Returns:
            (B, H, W) float32.
        """
        threshold = self.threshold if len(self.threshold) == 1 else self.threshold[label]
        sure = (confidence >= threshold).float()
        if self.per == "pixel":
            return sure
        over = (1, 2) if self.per == "image" else (0, 1, 2)
        return masked_mean(sure, valid, dim=over, keepdim=True).expand_as(sure)


@MODELS.register_module()
class ClassQuantileThreshold(BaseModule):
    """Keep the same share of every class's pixels, the surest of each (class-balanced self-training).

    A fixed threshold lets classes that are easy early take over: theirs are the only pixels kept. Here the
    threshold of a class is a running estimate of the quantile of its own confidence, over the images of all ranks.

    Args:
        num_classes: Classes K.
        keep: Share of each class's pixels to keep, in (0, 1]. Default 0.5.
        momentum: Step of the running estimate, per training step. Default 0.05.
        ceiling: A class never needs more confidence than this, so that more than ``keep`` of a class is kept where
            the model is surer. Default 0.95.
    """

    training_only = True

    @check_types
    def __init__(
        self,
        num_classes: PositiveInt,
        keep: Annotated[float, Between(1e-6, 1.0)] = 0.5,
        momentum: Share = 0.05,
        ceiling: Share = 0.95,
    ) -> None:
        super().__init__()
        self.keep, self.momentum, self.ceiling = keep, momentum, ceiling
        self.register_buffer("threshold", torch.full((num_classes,), 0.5))

    def forward(self, confidence: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
        """Weight of each pixel: (B, H, W) confidence and int64 label -> (B, H, W) float32."""
        return (confidence >= self.threshold.clamp(max=self.ceiling)[label]).float()

    @torch.no_grad()
    def update(self, confidence: Tensor, label: Tensor, valid: Tensor | None = None) -> None:
        """Move each class's threshold to the quantile of its valid pixels: (B, H, W) confidence, label, bool."""
        above = confidence >= self.threshold[label]
        valid = torch.ones_like(above) if valid is None else valid
        count = count_per_class(valid, label, len(self.threshold))
        kept = count_per_class(above & valid, label, len(self.threshold))
        for total in (count, kept):
            all_reduce(total)
        # Robbins-Monro on the quantile: raise where too much is kept, lower where too little.
        step = self.momentum * (kept / count.clamp(min=1) - self.keep) * (count > 0)
        self.threshold.add_(step.to(self.threshold.dtype)).clamp_(0.0, 1.0)


def build_confidence(cfg: dict | None, num_classes: int) -> nn.Module | None:
    """Build what ``model.confidence`` describes.

    Args:
        cfg: Its config, or None for none.
        num_classes: Classes K, for a module that takes them and was not given them.
    """
    if cfg is None:
        return None
    check_has_type("model.confidence", cfg)
    module = MODELS.get(cfg["type"])
    if module is not None and "num_classes" in inspect.signature(module).parameters:
        cfg = dict(num_classes=num_classes) | dict(cfg)
    return MODELS.build(cfg)
