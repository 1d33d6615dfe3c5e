"""U2PL (CVPR 2022, arXiv 2203.03884): pixels that are too unsure to be learned from still say what they are not."""

from dataclasses import replace
from typing import NamedTuple

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.labels import masked_quantiles, mean_prediction, prediction_entropy
from mmseg_allspark.methods.contrast import ContrastSegmentor
from mmseg_allspark.methods.joint_pass import JointPass, stack_classes
from mmseg_allspark.methods.passes import pass_teachers
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.models import ConvProjectionHead, NegativeMemory, trunk_width
from mmseg_allspark.utils.checks import LossWeight, Percent, PositiveInt, check_types
from mmseg_allspark.utils.resizing import resize_floor


class Reliability(NamedTuple):
    """Pixels (B_u, H, W) of the unlabeled images: those that are learned, and those of low and of high entropy."""

    learned: Tensor
    low: Tensor
    high: Tensor


@MODELS.register_module()
class U2PLSegmentor(ContrastSegmentor):
    """A student that learns the teacher's sure pixels, and compares its features with the unsure ones.

    L = sup_weight * L_s + unsup_weight * L_u + contrast_weight * L_c. The teacher labels the weak view. It then sees
    the mixed images in train mode, and the entropy of this prediction says how reliable a pixel is. L_u is the mean
    cross-entropy over the pixels of lower entropy, divided by their share of all pixels. L_c attracts pixels of a class
    to the teacher's mean feature of the class, and repels them from features of unreliable pixels that are surely not
    of the class (:class:`NegativeMemory`). Needs ``MeanTeacherHook``, with ``buffers='own'`` as in the release, and
    ``train_cfg.pseudo_labels_from='ema'``.

    Args:
        contrast: Options of :class:`NegativeMemory`; None: no contrast. Default ``dict()``.
        contrast_weight: Default 0.1, as in the paper. The release's weight is 1 / number of GPUs.
        projection_channels: Channels between the convolutions of the projection. Default 256.
        keep_percent: Percent of the pixels that are learned at the start, those of the lowest entropy. It rises to 100
            in the course of the training. Default 80; the release calls it ``drop_percent``.
        low_entropy_percent: Percent of the pixels that count as reliable in the contrast at the start, and percent of
            those that count as unreliable. It falls to 0. Default 20.
        sup_weight: Default 1.
        unsup_weight: Default 1.
        cutmix: Default half of the area of every image or of none: ``dict(prob=0.5, area=(0.5, 0.5), aspect=None,
            per='batch')``.
        mask_padding: Default True. The release learns padding as class 0.
        **kwargs: Those of :class:`SemiSegmentor`.

    Raises:
        ValueError: If ``contrast`` does not fit the number of classes.
    """

    @check_types
    def __init__(
        self,
        *,
        contrast: dict | None = dict(),  # noqa: B006, C408 (never changed)
        contrast_weight: LossWeight = 0.1,
        projection_channels: PositiveInt = 256,
        keep_percent: Percent = 80.0,
        low_entropy_percent: Percent = 20.0,
        sup_weight: LossWeight = 1.0,
        unsup_weight: LossWeight = 1.0,
        cutmix: dict | None = dict(prob=0.5, area=(0.5, 0.5), aspect=None, per="batch"),  # noqa: B006
        mask_padding: bool = True,
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(
            sup_weight=sup_weight, unsup_weight=unsup_weight, cutmix=cutmix, mask_padding=mask_padding, **kwargs
        )
        self.contrast_weight = contrast_weight
        self.keep_percent, self.low_entropy_percent = keep_percent, low_entropy_percent
        if contrast is not None:
            self.memory = NegativeMemory(self.num_classes, **contrast)
            width, head = self.memory.queue.queue.shape[2], self.decode_head
            self.projector = ConvProjectionHead(trunk_width(head), width, projection_channels, norm_cfg=head.norm_cfg)

    @property
    def needs(self) -> Needs:
        """A teacher that passes the mixed images in train mode."""
        return replace(super().needs, teacher_in_train=True)

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Cross-entropy of the learned pixels, and the contrast."""
        images, pseudo = torch.cat([joint.inputs["labeled"], joint.images]), joint.pseudo
        given = pass_teachers(self, joint.step, images)
        logits, number = mean_prediction([one[0] for one in given]), joint.num_labeled
        entropy = prediction_entropy(self.upsample(logits[number:], pseudo.label.shape[1:]))
        valid = torch.ones_like(pseudo.label, dtype=torch.bool) if pseudo.valid is None else pseudo.valid
        pixels = self.find_reliable(entropy, valid, joint.step)
        scale = joint.step.unsup_scale
        loss = self.learned_loss(joint.unlabeled_logits, pseudo, pixels.learned)
        losses = {
            "unsup.decode.loss_ce": loss * (self.unsup_weight * scale),
            "unsup.learned_share": pixels.learned.sum() / valid.sum().clamp(min=1),
        }
        if self.memory is not None:
            with torch.autocast(device_type=logits.device.type, enabled=False):
                loss = self._contrast(joint, logits, given[0][1], valid, pixels)
            losses["unsup.contrast.loss_negatives"] = loss * (self.contrast_weight * scale)
            losses["unsup.contrast_memory"] = self.memory.queue.fill_level()[:-1].mean()
        return losses

    def find_reliable(self, entropy: Tensor, valid: Tensor, step: Step) -> Reliability:
        """Tell pixels apart by the quantiles of their entropy over the batch on this rank.

        Args:
            entropy: (B_u, H, W) in nats.
            valid: (B_u, H, W) bool, False on padding.
            step: Its ``progress`` moves the quantiles.
        """
        dropped, low = (100.0 - self.keep_percent) / 100.0, self.low_entropy_percent / 100.0
        left = 1.0 - step.progress
        limits = masked_quantiles(entropy, valid, (1.0 - dropped * left, low * left, 1.0 - low * left))
        return Reliability(
            valid & (entropy < limits[0]), valid & (entropy <= limits[1]), valid & (entropy >= limits[2])
        )

    def _contrast(
        self, joint: JointPass, logits: Tensor, features: Tensor, valid: Tensor, pixels: Reliability
    ) -> Tensor:
        """Fill the memory with the teacher's features, and compare the student's with it."""
        truth = stack_classes(joint.data_samples["labeled"], self.num_classes, self.decode_head.ignore_index)
        labeled = truth < self.num_classes
        maps = torch.cat(
            [
                torch.stack([truth, labeled, labeled], dim=1),
                torch.stack([torch.where(valid, joint.pseudo.label, self.num_classes), pixels.low, pixels.high], dim=1),
            ]
        )
        classes, low, high = resize_floor(maps, logits.shape[2:]).unbind(dim=1)
        prob = logits.float().softmax(dim=1)
        found = self.memory.find_negatives(prob, classes, high > 0, joint.num_labeled)
        self.memory.enqueue(features, found)
        return self.memory.loss(joint.aux, features, prob, classes, low > 0)
