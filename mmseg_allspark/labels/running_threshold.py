"""CorrMatch's threshold of confidence, one running number for all classes (arXiv 2306.04300)."""

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.utils.checks import PositiveInt, Share, check_types


@MODELS.register_module()
class GlobalMaxThreshold(BaseModule):
    """Keep what is as sure as the surest pixels of the classes have been, on the average.

    The threshold follows the mean, over the classes that a step's labels show, of the largest confidence of each class,
    over the images of all ranks. It is a buffer, so that a resumed training goes on with it.

    Args:
        num_classes: Classes K. The model fills it in.
        init: Threshold at the start. Default 0.85.
        momentum: Share of a step in the running mean. Default 0.001.
    """

    training_only = True

    @check_types
    def __init__(self, num_classes: PositiveInt, init: Share = 0.85, momentum: Share = 0.001) -> None:
        super().__init__()
        self.num_classes, self.momentum = num_classes, momentum
        self.register_buffer("threshold", torch.tensor([init], dtype=torch.float32))

    def forward(self, confidence: Tensor, label: Tensor, valid: Tensor | None = None) -> Tensor:
        """Weight of each pixel: (B, H, W) confidence and int64 label -> (B, H, W) float32, 0 or 1."""
        return (confidence >= self.threshold).float()

    @torch.no_grad()
    def update(self, confidence: Tensor, label: Tensor, valid: Tensor | None = None) -> None:
        """Follow a step; without a valid pixel the threshold stays.

        Args:
            confidence: (B, H, W) in (0, 1].
            label: (B, H, W) int64.
            valid: (B, H, W) bool, False on what does not count. Default None, all counts.
        """
        confidence = confidence.float()
        if valid is not None:
            confidence = confidence * valid
        highest = confidence.new_zeros(self.num_classes)
        highest.scatter_reduce_(0, label.flatten(), confidence.flatten(), "amax")
        all_reduce(highest, op="max")
        count = (highest > 0).sum()  # a softmax is never 0: such a class does not occur
        mean = highest.sum() / count.clamp(min=1)
        self.threshold.lerp_(mean, self.momentum * (count > 0))
