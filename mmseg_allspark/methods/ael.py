"""AEL (NeurIPS 2021, arXiv 2110.05474): more of what the classes need that do badly."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.labels import (
    ClassConfidenceBank,
    ClassCopyPaste,
    ClassCutMix,
    PseudoLabel,
    max_probability,
    mean_prediction,
)
from mmseg_allspark.labels.class_confidence import sampling_rates
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart, stack_masks
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.utils.checks import Between, LossWeight, check_types

Power = Annotated[float, Between(0.0, 100.0)]


@MODELS.register_module()
class AELSegmentor(SemiSegmentor):
    """Adaptive equalization learning (sections 3.2 to 3.5).

    A bank holds how confident the student is of each class on the labeled images. The less confident a class is, the
    more often it is pasted into labeled images (:class:`ClassCopyPaste`), the more often it is what
    :class:`ClassCutMix` pastes into unlabeled images, and the more of its pixels are learned from. A pixel counts with
    a power of the teacher's confidence. Needs ``MeanTeacherHook``, ``train_cfg.pseudo_labels_from='ema'``, and two
    labeled and two unlabeled images in a process.

    L = sup_weight * L_s + unsup_weight * (L_c of the unlabeled images + L_c of the labeled images), where L_c =
    sum(w * CE) / sum(w) over the pixels with w = c^gamma * S: c is the largest probability of the teacher, and S is 1
    with the rate of the student's class, ((1 - confidence) / (1 - smallest confidence))^sampling_power, else 0. Pixels
    that ``confidence`` leaves out have no part in the numerator alone, as in the release.

    Args:
        bank: Arguments of :class:`ClassConfidenceBank` but ``num_classes``. Default ``dict()``.
        copy_paste: Arguments of :class:`ClassCopyPaste` but ``num_classes``. Default ``dict()``; None: off.
        cutmix: Arguments of :class:`ClassCutMix`. Default ``dict()``; None: off.
        gamma: Power of the teacher's confidence; 0: all pixels count alike. Default 2.
        sampling_power: Power of the rates; 0: all pixels are learned from. Default 1.
        mean_over: The pixels of the ``'batch'``, as in the release, or of each ``'image'``, as in the paper (equation
            12), that L_c is a mean over. Default ``'batch'``.
        labeled_consistency: Whether the student learns the teacher's labels of labeled images, too, as in the release.
            Default True.
        labels_in: Mode of the teacher while it labels: ``'train'``, as in the release, with the batch's own statistics
            of batch norm; ``'eval'``. With an :class:`AllSparkNeck` always ``'eval'``. Default ``'train'``.
        sup_weight: Default 1.
        unsup_weight: Default 1.
        confidence: Default None, as in the paper and in the release on Cityscapes; its threshold on VOC is 0.7.
        **kwargs: Those of :class:`SemiSegmentor`. With ``pseudo_loss`` that loss takes the place of CE.
    """

    @check_types
    def __init__(
        self,
        *,
        bank: dict = dict(),  # noqa: B006, C408 (never changed)
        copy_paste: dict | None = dict(),  # noqa: B006, C408
        cutmix: dict | None = dict(),  # noqa: B006, C408
        gamma: Power = 2.0,
        sampling_power: Power = 1.0,
        mean_over: Literal["batch", "image"] = "batch",
        labeled_consistency: bool = True,
        labels_in: Literal["train", "eval"] = "train",
        sup_weight: LossWeight = 1.0,
        unsup_weight: LossWeight = 1.0,
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(sup_weight=sup_weight, unsup_weight=unsup_weight, **kwargs)
        per_class = dict(num_classes=self.num_classes)
        self.bank = ClassConfidenceBank(**per_class | dict(bank))
        self.copy_paste = None if copy_paste is None else ClassCopyPaste(**per_class | dict(copy_paste))
        self.cutmix = None if cutmix is None else ClassCutMix(**cutmix)
        self.gamma, self.sampling_power, self.mean_over = gamma, sampling_power, mean_over
        self.labeled_consistency, self.labels_in = labeled_consistency, labels_in

    @property
    def needs(self) -> Needs:
        """A teacher that labels, and other labeled images to paste from."""
        needs = super().needs
        pastes = {} if self.copy_paste is None else dict(labeled="copy_paste")
        return replace(needs, labels_from="ema", pastes=needs.pastes | pastes)

    @torch.no_grad()
    def mix_labeled(
        self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step
    ) -> tuple[dict[str, Tensor], SamplesByPart]:
        """Labeled images with classes of each other pasted in; the samples given are not changed."""
        if self.copy_paste is None:
            return inputs, data_samples
        samples = data_samples["labeled"]
        images, masks = self.copy_paste(inputs["labeled"], stack_masks(samples), self.bank.confidence)
        pasted = [sample.new() for sample in samples]
        for sample, mask in zip(pasted, masks, strict=True):
            sample.gt_sem_seg = PixelData(data=mask[None])
        return inputs | dict(labeled=images), data_samples | dict(labeled=pasted)

    @torch.no_grad()
    def label(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step) -> PseudoLabel:
        """Pseudo labels of the weak view; those of the labeled images are left in ``step.record['labeled_pseudo']``."""
        pseudo = super().label(inputs, data_samples, step)
        if self.labeled_consistency:
            images = dict(weak=inputs["labeled"])
            logits = mean_prediction([labeler.label_unlabeled(images) for labeler in step.labelers or (self,)])
            valid = self.valid_pixels(data_samples["labeled"])
            step.record["labeled_pseudo"] = self.make_pseudo_label(logits, valid)
        return pseudo

    @torch.no_grad()
    def mix(
        self, inputs: dict[str, Tensor], data_samples: SamplesByPart, pseudo: PseudoLabel, step: Step
    ) -> tuple[Tensor, PseudoLabel]:
        """Unlabeled images (B_u, 3, H, W) and their labels with rectangles of the classes that do badly."""
        images = inputs[self.unlabeled_view]
        if self.cutmix is None:
            return images, pseudo
        mixed = self.cutmix(dict(pseudo.maps(), images=images), pseudo.label, self.bank.confidence)
        return mixed.pop("images"), PseudoLabel.from_maps(mixed)

    def sup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """The base's; the bank follows the labeled images, before the unlabeled losses look at it."""
        masks = stack_masks(joint.data_samples["labeled"])
        self.bank.update(self.upsample(joint.labeled_logits.detach(), masks.shape[1:]), masks)
        return super().sup_losses(joint)

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Consistency with the teacher on the mixed unlabeled images and on the labeled images."""
        scale = self.unsup_weight * joint.step.unsup_scale
        losses = {"unsup.decode.loss_consistency": self.consistency(joint.unlabeled_logits, joint.pseudo) * scale}
        if self.labeled_consistency:
            loss = self.consistency(joint.labeled_logits, joint.step.record["labeled_pseudo"])
            losses["unsup.decode.loss_labeled"] = loss * scale
        return losses

    def consistency(self, logits: Tensor, pseudo: PseudoLabel, draws: Tensor | None = None) -> Tensor:
        """L_c.

        Args:
            logits: (B, K, h, w) of the student.
            pseudo: The teacher's labels, with logits (B, K, H, W).
            draws: (B, H, W) in [0, 1): a pixel is learned from where it exceeds 1 - the rate of its class. Default
                None, drawn.

        Returns:
            Scalar.
        """
        logits = self.upsample(logits, pseudo.label.shape[1:])
        loss = pseudo.pixel_loss(logits, self.pseudo_loss) * pseudo.weight
        with torch.no_grad():
            weight = max_probability(pseudo.logits) ** self.gamma
            rates = sampling_rates(self.bank.confidence, self.sampling_power)[logits.argmax(dim=1)]
            weight = weight * ((torch.rand_like(weight) if draws is None else draws) > 1.0 - rates)
            if pseudo.valid is not None:
                weight = weight * pseudo.valid
        over = (0, 1, 2) if self.mean_over == "batch" else (1, 2)
        return ((weight * loss).sum(dim=over) / (weight.sum(dim=over) + 1e-12)).mean()
