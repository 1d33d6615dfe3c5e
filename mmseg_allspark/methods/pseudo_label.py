"""Pseudo labels: what is kept of them, how they are mixed, and what they look like in figures.

Legend: B images, K classes, (H, W) image size in pixels.
"""

import inspect
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.checks import Between, PositiveInt, Share, check_has_type, check_types


@dataclass(frozen=True)
class PseudoLabel:
    """Pseudo labels of a batch of unlabeled images.

    Attributes:
        logits: (B, K, H, W) from which they come; the neck groups channels by them.
        label: (B, H, W) int64, argmax over the classes.
        weight: (B, H, W) float in [0, 1], how much each pixel counts in the loss.
        valid: (B, H, W) bool, False where the image was padded; None: padding is not told from image.
    """

    logits: Tensor
    label: Tensor
    weight: Tensor
    valid: Tensor | None = None

    def mean_loss(self, pixel_loss: Tensor) -> Tensor:
        """Mean of a (B, H, W) loss, weighted by pixel, over all pixels that are not padding."""
        return masked_mean(pixel_loss * self.weight, self.valid)

    def thin(self, stride: int) -> "PseudoLabel":
        """Every ``stride``-th pixel of every ``stride``-th row: (B, ceil(H / stride), ceil(W / stride))."""
        pixels = (..., slice(None, None, stride), slice(None, None, stride))
        return PseudoLabel(*(None if part is None else part[pixels] for part in vars(self).values()))


def masked_mean(
    values: Tensor, valid: Tensor | None, dim: int | tuple[int, ...] | None = None, keepdim: bool = False
) -> Tensor:
    """Mean of values over what is valid; 0 where nothing is.

    Args:
        values: Any shape.
        valid: Of the same shape or one that broadcasts to it, bool; None: all.
        dim: Dimensions that vanish. Default None, all.
        keepdim: Leave them with length 1. Default False.
    """
    if valid is None:
        return values.mean(dim=dim, keepdim=keepdim)
    valid = valid.expand_as(values)
    return (values * valid).sum(dim=dim, keepdim=keepdim) / valid.sum(dim=dim, keepdim=keepdim).clamp(min=1)


def _beside_classes(valid: Tensor | None) -> Tensor | None:
    """(B, H, W) for values of (B, K, H, W)."""
    return None if valid is None else valid[:, None]


def count_per_class(mask: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Count the pixels of a mask by label, without the copy to the host that ``torch.bincount`` makes on GPUs.

    Args:
        mask: Any shape, bool.
        labels: Same shape, int64; what is not in [0, num_classes) counts nowhere.
        num_classes: Classes K.

    Returns:
        (K,) float32.
    """
    index = torch.where((labels >= 0) & (labels < num_classes), labels, num_classes)
    counts = labels.new_zeros(num_classes + 1).scatter_add_(0, index.flatten(), mask.flatten().long())
    return counts[:-1].float()


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


@MODELS.register_module()
class DistributionAlignment(BaseModule):
    """Shift pseudo logits so that the classes appear as often as in the labeled images.

    Self-training drifts towards the classes it predicts most. Adding log(prior of the labels / running mean
    of the predictions) per class removes the drift (distribution alignment, ReMixMatch, section 3.1). Both means
    are over the images of all ranks.

    Args:
        num_classes: Classes K.
        momentum: Step of both running means. Default 0.01.
        strength: 1 aligns fully, 0 not at all. Default 1.
    """

    training_only = True

    @check_types
    def __init__(self, num_classes: PositiveInt, momentum: Share = 0.01, strength: Share = 1.0) -> None:
        super().__init__()
        self.momentum, self.strength = momentum, strength
        uniform = torch.full((num_classes,), 1.0 / num_classes)
        self.register_buffer("labeled_prior", uniform.clone())
        self.register_buffer("predicted_prior", uniform.clone())
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, logits: Tensor) -> Tensor:
        """Align: (B, K, H, W) logits -> the same shape."""
        shift = self.labeled_prior.clamp(min=1e-6).log() - self.predicted_prior.clamp(min=1e-6).log()
        return logits + (self.strength * shift).to(logits.dtype)[None, :, None, None]

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
        predicted = masked_mean(logits.float().softmax(dim=1), _beside_classes(valid), dim=(0, 2, 3))
        all_reduce(counts)
        all_reduce(predicted, op="mean")
        # Equal weights at first, so that the uniform start is forgotten at once.
        step = torch.clamp(1.0 / (self.updates + 1.0), min=self.momentum)
        labeled = counts.sum()
        self.labeled_prior.lerp_(counts / labeled.clamp(min=1.0), step * (labeled > 0))
        self.predicted_prior.lerp_(predicted, step)
        self.updates.add_(1)


@torch.no_grad()
def count_pseudo_labels(pseudo: PseudoLabel, truth: Tensor | None, num_classes: int) -> Tensor:
    """Count the pixels that are not padding by label and ground truth; counts of several steps can be added.

    Args:
        pseudo: The pseudo labels of a batch.
        truth: (B, H, W) int64 ground truth where masks happen to exist, else None. Only counted, never trained on.
        num_classes: Classes K.

    Returns:
        (3, K + 1, K) float64, ground truth by label; the last row is for pixels of unknown truth. First all pixels,
        then the sum of their weights, then of their entropies in nats.
    """
    log_prob = pseudo.logits.float().log_softmax(dim=1)
    entropy = -(log_prob.exp() * log_prob).sum(dim=1)
    every = torch.ones_like(pseudo.weight) if pseudo.valid is None else pseudo.valid.float()
    truth = torch.full_like(pseudo.label, num_classes) if truth is None else truth
    rows = torch.where((truth >= 0) & (truth < num_classes), truth, num_classes)
    index = (rows * num_classes + pseudo.label).flatten()
    values = torch.stack([every, every * pseudo.weight, every * entropy]).flatten(1).double()
    counts = values.new_zeros(3, (num_classes + 1) * num_classes)
    return counts.index_add_(1, index, values).unflatten(1, (num_classes + 1, num_classes))


def pseudo_label_statistics(counts: Tensor) -> dict[str, Tensor]:
    """Figures for the log, from the sum of :func:`count_pseudo_labels`.

    Args:
        counts: (3, K + 1, K).

    Returns:
        Means over all pixels: ``kept``, the weight of a pixel in [0, 1]; ``entropy`` of the softmax in nats; ``share``
        (K,) of each class. Where the truth of some pixels is known, also ``agreement``: the share of them whose label
        is true; ``agreement_kept``: the same weighted by the weight; ``precision`` (K,): agreement among the kept
        pixels labeled as a class; ``recall`` (K,): agreement among all pixels that truly are of a class. NaN where
        there is no such pixel.
    """
    every, kept, entropy = counts
    total = every.sum()
    statistics = dict(kept=kept.sum() / total, entropy=entropy.sum() / total, share=every.sum(dim=0) / total)
    known, known_kept = every[:-1], kept[:-1]
    if known.sum() > 0:
        statistics["agreement"] = known.trace() / known.sum()
        statistics["agreement_kept"] = known_kept.trace() / known_kept.sum()
        statistics["precision"] = known_kept.diagonal() / known_kept.sum(dim=0)
        statistics["recall"] = known.diagonal() / known.sum(dim=1)
    return statistics
