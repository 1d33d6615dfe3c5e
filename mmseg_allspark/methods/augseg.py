"""AugSeg (CVPR 2023, arXiv 2212.04976): a mean teacher whose strength is the augmentation of the unlabeled images."""

import math
from dataclasses import replace

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.labels import AdaptiveCutMix, PseudoLabel, masked_mean
from mmseg_allspark.methods.joint_pass import SamplesByPart, stack_masks
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.utils.checks import LossWeight, check_types

_LOGIT = 10.0  # of a pasted label: a probability above 0.99 with up to 150 classes


@MODELS.register_module()
class AugSegSegmentor(SemiSegmentor):
    """A student that learns the teacher's labels on strongly augmented, mixed images.

    L = sup_weight * L_s + unsup_weight * L_u. L_u is the cross-entropy of the sure pixels, divided by the number of all
    pixels. The strong view is that of ``RandomIntensity``. :class:`AdaptiveCutMix` pastes parts of labeled images, with
    their ground truth, into the unlabeled images that the teacher is not sure of. Then it pastes parts of the unlabeled
    images into each other. Needs ``MeanTeacherHook``, ``train_cfg.pseudo_labels_from='ema'``, and as many
    labeled as unlabeled images in a step.

    Args:
        unlabeled_view: Default ``'strong'``.
        sup_weight: Default 1.
        unsup_weight: Default 1.
        confidence: Default ``dict(type='ConfidenceThreshold', threshold=0.95)``; None on Cityscapes, as in the release.
        cutmix: Arguments of :class:`AdaptiveCutMix`. Default ``dict()``; None: off.
        **kwargs: Those of :class:`SemiSegmentor`.
    """

    @check_types
    def __init__(
        self,
        *,
        unlabeled_view: str = "strong",
        sup_weight: LossWeight = 1.0,
        unsup_weight: LossWeight = 1.0,
        confidence: dict | None = dict(type="ConfidenceThreshold", threshold=0.95),  # noqa: B006 (never changed)
        cutmix: dict | None = dict(),  # noqa: B006, C408
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(
            unlabeled_view=unlabeled_view,
            sup_weight=sup_weight,
            unsup_weight=unsup_weight,
            confidence=confidence,
            **kwargs,
        )
        self.cutmix = None if cutmix is None else AdaptiveCutMix(**cutmix)

    @property
    def needs(self) -> Needs:
        """A teacher that labels, and a labeled image for every unlabeled one."""
        return replace(super().needs, labels_from="ema", equal_batches=True)

    @torch.no_grad()
    def mix(
        self, inputs: dict[str, Tensor], data_samples: SamplesByPart, pseudo: PseudoLabel, step: Step
    ) -> tuple[Tensor, PseudoLabel]:
        """Strong views (B_u, 3, H, W) and their labels, mixed with each other and with labeled images."""
        images = inputs[self.unlabeled_view]
        if self.cutmix is None:
            return images, pseudo
        masks = stack_masks(data_samples["labeled"])
        truth = mask_labels(masks, self.num_classes, self.decode_head.ignore_index)
        unlabeled, labeled = dict(pseudo.maps(), images=images), dict(truth.maps(), images=inputs["labeled"])
        mixed = self.cutmix(unlabeled, {name: labeled[name] for name in unlabeled}, image_confidence(pseudo))
        return mixed.pop("images"), PseudoLabel.from_maps(mixed)


def image_confidence(pseudo: PseudoLabel) -> Tensor:
    """How sure the teacher is of each image: the mean of (1 - H / ln K) times the largest probability.

    Args:
        pseudo: Of the weak view, with logits (B, K, H, W); padding that is marked does not count.

    Returns:
        (B,) in [0, 1]; 0 for uniform probabilities, 1 for one-hot ones.
    """
    prob = pseudo.logits.float().softmax(dim=1)
    entropy = -(prob * torch.log(prob + 1e-10)).sum(dim=1)
    sure = (1.0 - entropy / math.log(prob.shape[1])) * prob.amax(dim=1)
    return masked_mean(sure, pseudo.valid, dim=(1, 2))


def mask_labels(masks: Tensor, num_classes: int, ignore_index: int = 255) -> PseudoLabel:
    """Ground truth in the form of pseudo labels.

    Args:
        masks: (B, H, W) int64.
        num_classes: Classes K.
        ignore_index: Label of pixels that do not count: their weight is 0, and they are not valid. Default 255.

    Returns:
        Labels with weight 1 and logits that are sure of them.
    """
    known = masks != ignore_index
    label = torch.where(known, masks, 0)
    logits = torch.zeros(len(masks), num_classes, *masks.shape[1:], device=masks.device)
    return PseudoLabel(logits.scatter_(1, label[:, None], _LOGIT), label, known.float(), known)
