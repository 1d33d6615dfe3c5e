"""ESL (Enhanced Soft Label, Ma et al., ICCV 2023): dynamic soft labels, and a contrast of pixels and object parts."""

from dataclasses import replace
from typing import NamedTuple

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.labels import PseudoLabel, mean_prediction
from mmseg_allspark.methods.contrast import ContrastSegmentor
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart, stack_classes
from mmseg_allspark.methods.step import Step
from mmseg_allspark.models import ConvProjectionHead, PartMemory, trunk_width
from mmseg_allspark.utils.checks import LossWeight, PositiveInt, Share, check_types
from mmseg_allspark.utils.resizing import resize_nearest
from mmseg_allspark.utils.wrappers import eval_mode


class TeacherOutput(NamedTuple):
    """What a teacher gives of labeled and unlabeled images, each (B, ..., h, w): the features are the encoder's."""

    logits: Tensor
    features: Tensor
    projected: Tensor


@MODELS.register_module()
class ESLSegmentor(ContrastSegmentor):
    """A student that learns the teacher's dominant classes on mixed images, without a confidence threshold.

    L = sup_weight * L_s + unsup_weight * L_u + contrast_weight * L_c. L_u is the cross-entropy against the soft labels
    of :class:`DynamicSoftLabelLoss`, mean over all pixels. L_c attracts pixels of labeled and mixed unlabeled images to
    the teacher's features of their own part of their class, and repels them from other parts (:class:`PartMemory`).
    Needs ``MeanTeacherHook`` and ``train_cfg.pseudo_labels_from='ema'``. No code was released; this follows the text.

    Args:
        contrast: Options of :class:`PartMemory`; None: no contrast. Default ``dict()``.
        contrast_weight: Default 0.1.
        anchor_conf: Probability that a class of an unlabeled pixel has to exceed for the pixel to be attracted. Default
            0.95.
        projection_channels: Channels between the convolutions of the projection. Default 256.
        sup_weight: Default 1.
        unsup_weight: Default 0.2.
        cutmix: Default half of the area of every image: ``dict(prob=1.0, area=(0.5, 0.5), aspect=(0.5, 2.0))``. The
            paper says CutMix and no more.
        mask_padding: Default True.
        pseudo_loss: Default ``dict(type='DynamicSoftLabelLoss', mass=0.95)``.
        **kwargs: Those of :class:`SemiSegmentor`.

    Raises:
        ValueError: On ``contrast`` with a head that does not name the channels of a single level.
    """

    @check_types
    def __init__(
        self,
        *,
        contrast: dict | None = dict(),  # noqa: B006, C408 (never changed)
        contrast_weight: LossWeight = 0.1,
        anchor_conf: Share = 0.95,
        projection_channels: PositiveInt = 256,
        sup_weight: LossWeight = 1.0,
        unsup_weight: LossWeight = 0.2,
        cutmix: dict | None = dict(prob=1.0, area=(0.5, 0.5), aspect=(0.5, 2.0)),  # noqa: B006
        mask_padding: bool = True,
        pseudo_loss: dict | None = dict(type="DynamicSoftLabelLoss", mass=0.95),  # noqa: B006
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(
            sup_weight=sup_weight,
            unsup_weight=unsup_weight,
            cutmix=cutmix,
            mask_padding=mask_padding,
            pseudo_loss=pseudo_loss,
            **kwargs,
        )
        self.contrast_weight, self.anchor_conf = contrast_weight, anchor_conf
        if contrast is not None:
            self._build_contrast(contrast, projection_channels)

    def _build_contrast(self, contrast: dict, hidden_channels: int) -> None:
        head = self.decode_head
        indices, widths = ([part] if isinstance(part, int) else part for part in (head.in_index, head.in_channels))
        if len(indices) != len(widths):
            raise ValueError(
                f"model.contrast: model.decode_head.in_channels={head.in_channels} and in_index={head.in_index} do not "
                "say how many channels the deepest level has; set contrast=None or use another head."
            )
        self.memory, self.level = PartMemory(self.num_classes, widths[-1], **contrast), indices[-1]
        channels = self.memory.queue.queue.shape[2]
        self.projector = ConvProjectionHead(trunk_width(head), channels, hidden_channels, norm_cfg=head.norm_cfg)

    @torch.no_grad()
    def label(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step) -> PseudoLabel:
        """Pseudo labels of the weak view; with the contrast also the part of each pixel, as ``extras['part']``."""
        if self.memory is None:
            return super().label(inputs, data_samples, step)
        outputs = [labeler.describe(inputs) for labeler in step.labelers or (self,)]
        logits, number = mean_prediction([output.logits for output in outputs]), len(inputs["labeled"])
        size = inputs["weak"].shape[2:]
        pseudo = self.finish_label(self.upsample(logits[number:], size), data_samples)
        truth = stack_classes(data_samples["labeled"], self.num_classes, self.decode_head.ignore_index)
        classes = pseudo.label if pseudo.valid is None else torch.where(pseudo.valid, pseudo.label, self.num_classes)
        part = self._remember(outputs[0], resize_nearest(torch.cat([truth, classes]), logits.shape[2:]), number)
        step.record["part"] = part[:number]
        return replace(pseudo, extras=pseudo.extras | dict(part=resize_nearest(part[number:], size)))

    @torch.no_grad()
    def describe(self, inputs: dict[str, Tensor]) -> TeacherOutput:
        """Labeled images and the weak view, in eval mode, as a teacher sees them; all at the size of features."""
        with eval_mode(self):
            images = torch.cat([inputs["labeled"], inputs["weak"]])
            feats = self.extract_feat(images, inference_keys=self.pseudo_label_keys)
            logits, projected = self.decode_joint(feats)
        return TeacherOutput(logits, feats[self.level], projected)

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Loss against the soft labels, and the contrast."""
        losses = super().unsup_losses(joint)
        if self.memory is None:
            return losses
        part = torch.cat([joint.step.record.pop("part"), self._anchors(joint.pseudo, joint.aux.shape[2:])])
        with torch.autocast(device_type=part.device.type, enabled=False):
            loss = self.memory.loss(joint.aux, part)
        losses["unsup.contrast.loss_parts"] = loss * (self.contrast_weight * joint.step.unsup_scale)
        losses["unsup.contrast_queue"] = self.memory.queue.fill_level()[:-1].mean()
        return losses

    @torch.no_grad()
    def _remember(self, output: TeacherOutput, classes: Tensor, number: int) -> Tensor:
        """Parts of a step's pixels; queues and prototypes follow them. ``classes`` (B_l + B_u, h, w), labeled first."""
        with torch.autocast(device_type=classes.device.type, enabled=False):
            size = output.features.shape[2:]
            self.memory.start(output.features[:number], resize_nearest(classes[:number], size))
            part = self.memory.assign(output.features, classes)
            self.memory.enqueue(output.projected, part)
            self.memory.follow(output.features, resize_nearest(part, size))
            return part

    @torch.no_grad()
    def _anchors(self, pseudo: PseudoLabel, size: tuple[int, int]) -> Tensor:
        """Part of each pixel of the mixed images that the teacher is sure of; of no part elsewhere."""
        part, prob = (
            resize_nearest(pseudo.extras["part"], size),
            resize_nearest(pseudo.logits, size).float().softmax(dim=1),
        )
        own = (part // self.memory.parts).clamp(max=self.num_classes - 1)
        return torch.where(prob.gather(1, own[:, None])[:, 0] > self.anchor_conf, part, self.memory.num_parts)
