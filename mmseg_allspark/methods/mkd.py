"""MKD (ACM MM 2023, arXiv 2208.11499): two students, two teachers, and features varied as those of their class."""

import contextlib
import math
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart, stack_classes, stack_valid
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.methods.two_networks import NetworkOutput, TwoNetworkSegmentor
from mmseg_allspark.models import SemanticAugmentation, decode_with_features
from mmseg_allspark.utils.checks import LossWeight, PositiveInt, check_types
from mmseg_allspark.utils.resizing import resize_floor
from mmseg_allspark.utils.wrappers import eval_mode


@MODELS.register_module()
class MKDSegmentor(TwoNetworkSegmentor):
    """Mutual knowledge distillation: each student learns from the other student and from the other's teacher.

    L = sup_weight * (L_s of both students) + unsup_weight * sum over students i of (teacher_weight * CE(Z_i, argmax of
    the other's teacher) + student_weight * CE(Z_i, argmax of the other student)). The students see labeled images and
    mixed strong views, the teachers labeled images and weak views, mixed afterwards; CE is the mean over the pixels of
    both, and takes no ground truth. Z are logits at ``1 / shrink`` of the head's size, augmented by
    :class:`SemanticAugmentation`: for a pixel of class y, which is that of its mask or the network's own label, the
    other classes grow with the variance of the features of y. The ratio rises from 0 to ``ratio_end`` as a half cosine.

    The teachers are the moving average of both students, by ``MeanTeacherHook`` and
    ``train_cfg.pseudo_labels_from='ema'``. The release's are fast, ``momentum=0.4, warmup=True``, and it evaluates the
    first student.

    Args:
        sup_weight: Default 1.
        unsup_weight: Default 1.
        teacher_weight: Default 1.5.
        student_weight: Default 1.
        ratio_end: Default 1.5; 0: no augmentation.
        targets: Whether labels that are learned from are the argmax of ``'augmented'`` logits, as in the release, or of
            ``'plain'`` ones. The augmentation can change the argmax, most of all near the end; the log has the share of
            such pixels as ``unsup.moved_targets``. Default ``'augmented'``.
        labels_in: Mode of the teachers: ``'train'``, as in the release, with statistics of batch norm of labeled and
            weak images by themselves; ``'eval'``. With an :class:`AllSparkNeck` always eval. Default ``'train'``.
        shrink: Default 2.
        unlabeled_view: Default ``'strong'``.
        cutmix: Default the release's: ``dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None)``.
        **kwargs: Those of :class:`TwoNetworkSegmentor`. With ``mask_padding`` the labeled pipeline needs
            ``PadAndMark``, too. ``pseudo_loss`` takes the place of CE.
    """

    @check_types
    def __init__(
        self,
        *,
        sup_weight: LossWeight = 1.0,
        unsup_weight: LossWeight = 1.0,
        teacher_weight: LossWeight = 1.5,
        student_weight: LossWeight = 1.0,
        ratio_end: LossWeight = 1.5,
        targets: Literal["augmented", "plain"] = "augmented",
        labels_in: Literal["train", "eval"] = "train",
        shrink: PositiveInt = 2,
        unlabeled_view: str = "strong",
        cutmix: dict | None = dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None),  # noqa: B006 (never changed)
        **kwargs,  # noqa: ANN003
    ) -> None:
        weights = dict(sup_weight=sup_weight, unsup_weight=unsup_weight)
        super().__init__(unlabeled_view=unlabeled_view, cutmix=cutmix, **weights, **kwargs)
        self.teacher_weight, self.student_weight = teacher_weight, student_weight
        self.ratio_end, self.targets, self.labels_in, self.shrink = ratio_end, targets, labels_in, shrink
        heads = [self.decode_head, self.second.decode_head] * 2
        # of both students, then of both teachers
        self.augmentations = nn.ModuleList(SemanticAugmentation(self.num_classes, head.channels) for head in heads)
        self.second.shared_with_teacher = False  # the teachers are averages of both students
        self.augmentations.shared_with_teacher = True  # the average of two variances is none

    @property
    def needs(self) -> Needs:
        """Teachers that label; both are one moving average of both networks."""
        source = " (of both networks) and from the step itself"
        return replace(super().needs, labels_from="ema", teachers=(1, 1), label_source=source)

    @torch.no_grad()
    def label(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step) -> PseudoLabel:
        """Labels of the weak view by the first teacher; what both teachers give waits in ``step.record['teachers']``.

        ``extras['source']`` (B_u, H, W) is the image of the batch that a pixel comes from, so that the teachers' maps
        can be mixed as the images are.
        """
        teachers = step.record["teachers"] = self._labeler(step).describe(inputs)
        number, size = len(inputs["labeled"]), inputs["weak"].shape[2:]
        pseudo = self.finish_label(self.upsample(teachers[0].logits[number:], size), data_samples)
        own = torch.arange(len(pseudo.label), device=pseudo.label.device)[:, None, None].expand(-1, *size)
        return replace(pseudo, extras=dict(source=own))

    def _labeler(self, step: Step) -> "MKDSegmentor":
        return (step.labelers or (self,))[0]

    @torch.no_grad()
    def describe(self, inputs: dict[str, Tensor]) -> tuple[NetworkOutput, NetworkOutput]:
        """What both networks give of labeled images and the weak view, each passed by itself."""
        parts = [inputs["labeled"], inputs["weak"]]
        with contextlib.nullcontext() if self.labels_in_train else eval_mode(self):
            feats = [self.extract_feat(part, inference_keys=self.pseudo_label_keys) for part in parts]
            first = NetworkOutput.cat([NetworkOutput(*self.decode_joint(part)) for part in feats])
            return first, NetworkOutput.cat([self.pass_second(part) for part in parts])

    def decode_joint(self, feats: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits of the first network and the features before its classifier."""
        return decode_with_features(self.decode_head, feats)

    def pass_second(self, images: Tensor) -> NetworkOutput:
        """Logits of the second network and the features before its classifier."""
        return NetworkOutput(*decode_with_features(self.second.decode_head, self.second.extract_feat(images)))

    def sup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses ``sup.*`` of the first student and ``sup.second.*`` of the second."""
        logits = joint.aux[1].logits[: joint.num_labeled]
        return super().sup_losses(joint) | self.second_sup_losses(logits, joint.data_samples["labeled"])

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses of each student against the other's teacher and the other student, on labeled and mixed images."""
        step, labeler = joint.step, self._labeler(joint.step)
        ratio = self.ratio_end * (1.0 - math.cos(math.pi * (step.iteration + 1) / step.max_iters)) / 2
        teachers = [self._mix(teacher, joint) for teacher in step.record.pop("teachers")]
        heads = [network.decode_head for network in (self, self.second, labeler, labeler.second)]
        size = [max(1, side // self.shrink) for side in joint.logits.shape[2:]]
        truth, valid = self._truth(joint, size), self._valid(joint, size)
        networks, moved = [], []
        for index, (network, head) in enumerate(zip([*joint.aux, *teachers], heads, strict=True)):
            logits = self._resize(network.logits, head, size)
            features = self._resize(network.hidden.detach(), head, size)
            augmented = self._augment(index, logits, features, truth, valid, head.conv_seg.weight, ratio)
            target = (augmented if self.targets == "augmented" else logits).detach()
            moved.append((augmented.argmax(1) != logits.argmax(1)).float().mean())
            networks.append((augmented, self.make_pseudo_label(target, valid)))
        losses, scale = {"unsup.moved_targets": torch.stack(moved).mean()}, self.unsup_weight * step.unsup_scale
        for name, own, other in (("decode", 0, 1), ("second", 1, 0)):
            for source, weight in (("teacher", self.teacher_weight), ("student", self.student_weight)):
                labels = networks[other + 2 * (source == "teacher")][1]
                loss = labels.mean_loss(labels.pixel_loss(networks[own][0], self.pseudo_loss))
                losses[f"unsup.{name}.loss_{source}"] = loss * (weight * scale)
        return losses

    def _augment(
        self,
        index: int,
        logits: Tensor,
        features: Tensor,
        truth: Tensor,
        valid: Tensor | None,
        weight: Tensor,
        ratio: float,
    ) -> Tensor:
        """Augmented logits of a network, first of the labeled and then of the unlabeled images."""
        number, module, parts = len(truth), self.augmentations[index], []
        own = logits[number:].detach().argmax(dim=1)
        own = own if valid is None else torch.where(valid[number:], own, self.num_classes)
        for part, labels in ((slice(number), truth), (slice(number, None), own)):
            module.update(features[part], labels)
            parts.append(module.augment(logits[part], labels, weight, ratio))
        return torch.cat(parts)

    @torch.no_grad()
    def _mix(self, teacher: NetworkOutput, joint: JointPass) -> NetworkOutput:
        """What a teacher gives, mixed as the students' unlabeled images were."""
        number, size = joint.num_labeled, teacher.logits.shape[2:]
        source = resize_floor(joint.pseudo.extras["source"], size)[:, None]
        mixed = [values[number:].gather(0, source.expand(-1, values.shape[1], -1, -1)) for values in teacher]
        return NetworkOutput.cat([teacher.images(slice(number)), NetworkOutput(*mixed)])

    def _truth(self, joint: JointPass, size: list[int]) -> Tensor:
        """(B_l, h, w) classes of the labeled images, K where they are not known."""
        samples = joint.data_samples["labeled"]
        return resize_floor(stack_classes(samples, self.num_classes, self.decode_head.ignore_index), size)

    def _valid(self, joint: JointPass, size: list[int]) -> Tensor | None:
        """(B_l + B_u, h, w) bool, False on padding; None without ``mask_padding``."""
        if joint.pseudo.valid is None:
            return None
        return resize_floor(torch.cat([stack_valid(joint.data_samples["labeled"]), joint.pseudo.valid]), size)

    def _resize(self, values: Tensor, head: BaseDecodeHead, size: list[int]) -> Tensor:
        return F.interpolate(values, size=size, mode="bilinear", align_corners=head.align_corners)
