"""What one forward of labeled and unlabeled images together gives: the argument of a method's losses."""

from dataclasses import dataclass
from typing import Any

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods.step import Step

SamplesByPart = dict[str, list[SegDataSample]]


@dataclass(frozen=True)
class JointPass:
    """The joint forward of one training step, and what it was made of.

    Attributes:
        inputs: ``'labeled'`` (B_l, 3, H, W) and every view of the unlabeled images (B_u, 3, H, W) by name, not mixed.
        data_samples: ``'labeled'`` with ground truth; ``'unlabeled'``.
        step: Where the training is.
        num_labeled: B_l; in ``feats``, ``logits`` and ``aux`` the labeled images come first.
        feats: Multi-level features of backbone and neck, each (B_l + B_u, C_i, H_i, W_i).
        logits: (B_l + B_u, K, h, w) of the decode head.
        pseudo: Pseudo labels of the unlabeled images as they went into the pass, mixed; those before mixing are
            ``step.record['pseudo']``. None: there were none in the pass.
        aux: What a method keeps besides logits, a tensor of :meth:`SemiSegmentor.decode_joint` or an object of its
            :meth:`SemiSegmentor.joint_pass`; None where a method needs nothing.
        images: (B_u, 3, H, W), the unlabeled images as they went into the pass, mixed; None: there were none.
    """

    inputs: dict[str, Tensor]
    data_samples: SamplesByPart
    step: Step
    num_labeled: int
    feats: list[Tensor]
    logits: Tensor
    pseudo: PseudoLabel | None = None
    aux: Any = None
    images: Tensor | None = None

    @property
    def labeled_logits(self) -> Tensor:
        """(B_l, K, h, w)."""
        return self.logits[: self.num_labeled]

    @property
    def unlabeled_logits(self) -> Tensor:
        """(B_u, K, h, w)."""
        return self.logits[self.num_labeled :]

    @property
    def labeled_feats(self) -> list[Tensor]:
        """Features of the labeled images."""
        return [level[: self.num_labeled] for level in self.feats]


def stack_masks(data_samples: list[SegDataSample]) -> Tensor:
    """Ground truth (B, H, W) of labeled samples, as their masks have it."""
    return torch.cat([sample.gt_sem_seg.data for sample in data_samples])


def stack_classes(data_samples: list[SegDataSample], num_classes: int, ignore_index: int) -> Tensor:
    """Ground truth (B, H, W) of labeled samples, ``num_classes`` where it is ignored."""
    masks = stack_masks(data_samples)
    return torch.where(masks == ignore_index, num_classes, masks)


def scale_losses(losses: dict[str, Tensor], factor: float | Tensor) -> dict[str, Tensor]:
    """Losses times a factor; figures that are no losses stay."""
    return {name: value * factor if "loss" in name else value for name, value in losses.items()}


def stack_valid(data_samples: list[SegDataSample]) -> Tensor:
    """Which pixels are image and not padding, as ``PadAndMark`` wrote it down.

    Args:
        data_samples: Of a batch.

    Returns:
        (B, H, W) bool.

    Raises:
        KeyError: If the pipeline has not marked them.
    """
    if not all("valid" in sample for sample in data_samples):
        raise KeyError(
            "model.mask_padding=True, or a method that asks for it, but the samples do not say what is padding: use "
            "PadAndMark instead of Pad in the pipelines of train_dataloader and unlabeled_dataloader, and "
            "PackSemiInputs at their end."
        )
    return torch.cat([sample.valid.data for sample in data_samples])
