"""Pseudo labels of a batch, and those that were made before the training.

Legend: B images, K classes, (H, W) image size in pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_allspark.utils.checks import check_has_type


@dataclass(frozen=True)
class PseudoLabel:
    """Pseudo labels of a batch of unlabeled images.

    Attributes:
        logits: (B, K, H, W) from which they come; the neck groups channels by them.
        label: (B, H, W) int64, argmax over the classes.
        weight: (B, H, W) float in [0, 1], how much each pixel counts in the loss.
        valid: (B, H, W) bool, False where the image was padded; None: padding is not told from image.
        extras: What else a method's labels have, by name, each (B, ..., H, W); mixed like the rest.
    """

    logits: Tensor
    label: Tensor
    weight: Tensor
    valid: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)

    def pixel_loss(self, logits: Tensor, loss: nn.Module | None = None) -> Tensor:
        """Loss (B, H, W) of logits (B, K, H, W) against the labels, not weighted.

        Args:
            logits: (B, K, H, W) of what learns.
            loss: Called with them and the logits of the labels. Default None, cross-entropy against ``label``.
        """
        if loss is None:
            return F.cross_entropy(logits, self.label, reduction="none")
        return loss(logits, self.logits)

    def mean_loss(self, pixel_loss: Tensor) -> Tensor:
        """Mean of a (B, H, W) loss, weighted by pixel, over all pixels that are not padding."""
        return masked_mean(pixel_loss * self.weight, self.valid)

    def thin(self, stride: int) -> "PseudoLabel":
        """Every ``stride``-th pixel of every ``stride``-th row: (B, ceil(H / stride), ceil(W / stride))."""
        pixels = (..., slice(None, None, stride), slice(None, None, stride))
        return self.from_maps({name: values[pixels] for name, values in self.maps().items()})

    def maps(self) -> dict[str, Tensor]:
        """All tensors by name, the extras' among them."""
        own = dict(logits=self.logits, label=self.label, weight=self.weight, valid=self.valid)
        return {name: values for name, values in (own | self.extras).items() if values is not None}

    @classmethod
    def from_maps(cls, maps: dict[str, Tensor]) -> "PseudoLabel":
        """Put together what :meth:`maps` gave, cropped or mixed."""
        own = {name: maps[name] for name in ("logits", "label", "weight", "valid") if name in maps}
        return cls(**own, extras={name: values for name, values in maps.items() if name not in own})


def build_loss(cfg: dict | None) -> nn.Module | None:
    """Build what ``model.pseudo_loss`` describes; None for None."""
    if cfg is None:
        return None
    check_has_type("model.pseudo_loss", cfg)
    return MODELS.build(cfg)


def loaded_labels(data_samples: list[SegDataSample], num_classes: int) -> tuple[Tensor, Tensor]:
    """What ``LoadPseudoLabel`` read, as logits.

    Args:
        data_samples: Of the unlabeled images, each with ``pseudo_seg_map`` and perhaps ``pseudo_confidence``, uint8
            (1, H, W).
        num_classes: Classes K; a label outside of [0, K) is unknown.

    Returns:
        Logits (B, K, H, W) whose softmax gives a label its confidence and the other classes equal parts of the rest,
        and (B, H, W) that confidence, 1 where none was read and 0 where the label is unknown.

    Raises:
        KeyError: If a sample has no labels.
    """
    if not all("pseudo_seg_map" in sample for sample in data_samples):
        raise KeyError(
            "train_cfg.pseudo_labels_from='data', but the unlabeled samples have no labels: put "
            "dict(type='LoadPseudoLabel', folder=...) after LoadImage in unlabeled_dataloader.dataset.pipeline."
        )
    label = torch.cat([sample.pseudo_seg_map.data for sample in data_samples]).long()
    known = label < num_classes
    confidence = known.float()
    if all("pseudo_confidence" in sample for sample in data_samples):
        confidence = confidence * torch.cat([sample.pseudo_confidence.data for sample in data_samples]) / 255.0
    label = label.clamp(max=num_classes - 1)
    # above 1 / K, at which all classes are alike and the label would be lost
    sure = confidence.clamp((1.0 + 4e-6) / num_classes, 1.0 - 1e-6)
    logits = torch.zeros(label.shape[0], num_classes, *label.shape[1:], device=label.device)
    logits.scatter_(1, label[:, None], torch.log(sure * (num_classes - 1) / (1.0 - sure))[:, None])
    return logits, confidence


def mean_prediction(logits: Sequence[Tensor]) -> Tensor:
    """Logits whose softmax is the mean of the probabilities of several models.

    Args:
        logits: One or more of (B, K, H, W); those of one model are returned as they are.
    """
    if len(logits) == 1:
        return logits[0]
    return torch.stack([one.float().log_softmax(dim=1) for one in logits]).logsumexp(dim=0) - math.log(len(logits))


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
