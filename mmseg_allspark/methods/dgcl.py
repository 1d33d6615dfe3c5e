"""DGCL (Hunting Sparsity, CVPR 2023): sparse features of a class are drawn to where its features are dense."""

from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.labels import (
    PseudoLabel,
    masked_quantiles,
    mean_prediction,
    prediction_entropy,
)
from mmseg_allspark.methods.contrast import ContrastSegmentor
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart, stack_classes
from mmseg_allspark.methods.passes import pass_teachers
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.models import DensityMemory, ProjectionHead, decode_with_features
from mmseg_allspark.utils.checks import LossWeight, Percent, PositiveInt, check_types
from mmseg_allspark.utils.resizing import resize_floor


class ProjectedFeatures(NamedTuple):
    """Features (B, C, h, w) before the classifier, and their projections (B, D, h, w)."""

    features: Tensor
    projected: Tensor


@MODELS.register_module()
class DGCLSegmentor(ContrastSegmentor):
    """A student that learns the teacher's sure pixels, and tightens the features of each class.

    L = sup_weight * L_s + unsup_weight * L_u + contrast_weight * L_c. The teacher labels the weak view together with
    the labeled images. L_u is the mean cross-entropy on mixed images over the pixels of lower entropy, divided by their
    share of all pixels. L_c is the contrast of :class:`DensityMemory` on the student's features of labeled images and
    weak view, which pass the student together with the mixed images. Needs ``MeanTeacherHook``, with
    ``buffers='own'`` as in the release, and ``train_cfg.pseudo_labels_from='ema'``.

    Args:
        contrast: Options of :class:`DensityMemory`; None: no contrast. Default ``dict()``.
        contrast_weight: Default 0.5. In the release it is divided by the number of GPUs.
        projection_channels: Channels of the projection. Default 256.
        keep_percent: Percent of the pixels that are learned at the start, those of the lowest entropy. It rises to 100
            in the course of the training. Default 80.
        contrast_keep_percent: Percent of the unlabeled pixels that take part in the contrast, those of the lowest
            entropy, at the start and at most. Default (20, 90).
        labels_in: Mode in which a teacher labels. ``'train'``: with the statistics of the batch, as in the release.
            Default ``'train'``.
        sup_weight: Default 1.
        unsup_weight: Default 0.5.
        cutmix: Default half of the area of every image or of none: ``dict(prob=0.5, area=(0.5, 0.5), aspect=None,
            per='batch')``.
        mask_padding: Default True, as in the release.
        **kwargs: Those of :class:`SemiSegmentor`; ``unlabeled_view`` has to be ``'weak'``.

    Raises:
        ValueError: On another ``unlabeled_view``, or options of ``contrast`` that do not go together.
    """

    @check_types
    def __init__(
        self,
        *,
        contrast: dict | None = dict(),  # noqa: B006, C408 (never changed)
        contrast_weight: LossWeight = 0.5,
        projection_channels: PositiveInt = 256,
        keep_percent: Percent = 80.0,
        contrast_keep_percent: tuple[Percent, Percent] = (20.0, 90.0),
        labels_in: Literal["train", "eval"] = "train",
        sup_weight: LossWeight = 1.0,
        unsup_weight: LossWeight = 0.5,
        cutmix: dict | None = dict(prob=0.5, area=(0.5, 0.5), aspect=None, per="batch"),  # noqa: B006
        mask_padding: bool = True,
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(
            sup_weight=sup_weight, unsup_weight=unsup_weight, cutmix=cutmix, mask_padding=mask_padding, **kwargs
        )
        if self.unlabeled_view != "weak":
            raise ValueError(f"model.unlabeled_view={self.unlabeled_view!r}: DGCL trains on 'weak', mixed and not.")
        self.contrast_weight, self.labels_in = contrast_weight, labels_in
        self.keep_percent, self.contrast_keep_percent = keep_percent, tuple(contrast_keep_percent)
        if contrast is not None:
            head = self.decode_head
            self.memory = DensityMemory(self.num_classes, head.channels, projection_channels, **contrast)
            self.projector = ProjectionHead(head.channels, projection_channels, norm_cfg=head.norm_cfg)

    @property
    def needs(self) -> Needs:
        """With a neck, too, a teacher may label in train mode."""
        return replace(super().needs, teacher_in_train=self.labels_in == "train")

    @torch.no_grad()
    def label(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step) -> PseudoLabel:
        """Pseudo labels of the weak view; unsure pixels count 0. The classes of the contrast go to ``step.record``."""
        images = torch.cat([inputs["labeled"], inputs["weak"]])
        in_train = self.labels_in == "train"
        logits = mean_prediction(pass_teachers(self, step, images, in_train=in_train, only_logits=True))
        logits = logits[len(inputs["labeled"]) :]
        full = self.upsample(logits, images.shape[2:])
        pseudo = self.finish_label(full, data_samples)
        kept = self.find_sure(full, pseudo.valid, (100.0 - self.keep_percent) * (1.0 - step.progress))
        if self.memory is not None:
            step.record["contrast_classes"] = self.contrast_classes(logits, data_samples, pseudo.valid, step)
        return replace(pseudo, weight=pseudo.weight * kept, extras=dict(sure=kept))

    @torch.no_grad()
    def find_sure(self, logits: Tensor, valid: Tensor | None, percent: float) -> Tensor:
        """Leave out the pixels of the highest entropy in the batch on this rank.

        Args:
            logits: (B_u, K, H, W).
            valid: (B_u, H, W) bool, False on padding, which is left out as well; None: there is none.
            percent: Of the valid pixels, that are left out.

        Returns:
            (B_u, H, W) bool.
        """
        entropy = prediction_entropy(logits)
        valid = torch.ones_like(entropy, dtype=torch.bool) if valid is None else valid
        return valid & (entropy < masked_quantiles(entropy, valid, [1.0 - percent / 100.0])[0])

    def contrast_classes(self, logits: Tensor, data_samples: SamplesByPart, valid: Tensor | None, step: Step) -> Tensor:
        """Classes (B_l + B_u, h, w) of labeled images and weak view in the contrast; K for those without a part."""
        size, (first, last) = logits.shape[2:], (100.0 - percent for percent in self.contrast_keep_percent)
        truth = stack_classes(data_samples["labeled"], self.num_classes, self.decode_head.ignore_index)
        valid = None if valid is None else resize_floor(valid, size)
        sure = self.find_sure(logits, valid, max(first * (1.0 - step.progress), last))
        return torch.cat([resize_floor(truth, size), torch.where(sure, logits.argmax(dim=1), self.num_classes)])

    def joint_pass(
        self,
        inputs: dict[str, Tensor],
        data_samples: SamplesByPart,
        images: Tensor,
        pseudo: PseudoLabel,
        step: Step,
    ) -> JointPass:
        """Forward of labeled images, weak view and mixed images; the weak view's logits are not used."""
        if self.memory is None:
            return super().joint_pass(inputs, data_samples, images, pseudo, step)
        weak, mixed = step.record["pseudo"].maps(), pseudo.maps()
        both = PseudoLabel.from_maps({name: torch.cat([weak[name], mixed[name]]) for name in mixed})
        joint = super().joint_pass(inputs, data_samples, torch.cat([inputs["weak"], images]), both, step)
        begin, end = joint.num_labeled, joint.num_labeled + len(images)
        feats, logits = [torch.cat([level[:begin], level[end:]]) for level in joint.feats], joint.logits
        logits = torch.cat([logits[:begin], logits[end:]])
        aux = ProjectedFeatures(*(maps[: -len(images)] for maps in joint.aux))  # of labeled images and weak view
        return replace(joint, feats=feats, logits=logits, aux=aux, pseudo=pseudo, images=images)

    def decode_joint(self, feats: list[Tensor]) -> tuple[Tensor, ProjectedFeatures | None]:
        """Logits and, with the contrast, features before the classifier and their projections."""
        if self.memory is None:
            return super().decode_joint(feats)
        logits, hidden = decode_with_features(self.decode_head, feats)
        return logits, ProjectedFeatures(hidden, self.projector(hidden))

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Cross-entropy of the sure pixels, and the contrast; the memory takes the step's features afterwards."""
        scale = joint.step.unsup_scale
        loss = self.learned_loss(joint.unlabeled_logits, joint.pseudo, joint.pseudo.extras["sure"])
        losses = {"unsup.decode.loss_ce": loss * (self.unsup_weight * scale)}
        if self.memory is not None:
            classes, seen = joint.step.record.pop("contrast_classes"), joint.aux
            with torch.autocast(device_type=classes.device.type, enabled=False):
                loss = self.memory.loss(seen.features, seen.projected, classes)
                self.memory.enqueue(seen.features, seen.projected, classes, joint.num_labeled)
            losses["unsup.contrast.loss_density"] = loss * (self.contrast_weight * scale)
            losses["unsup.contrast_memory"] = self.memory.queue.fill_level()[:-1].mean()
        return losses
