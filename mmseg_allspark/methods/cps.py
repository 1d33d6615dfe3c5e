"""CPS (CVPR 2021, arXiv 2106.01226): two networks, each trained with the labels of the other."""

from dataclasses import replace
from typing import Literal

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.methods.two_networks import TwoNetworkSegmentor, join_labels, split_labels
from mmseg_allspark.utils.checks import LossWeight, check_types


@MODELS.register_module()
class CPSSegmentor(TwoNetworkSegmentor):
    """Cross pseudo supervision (sections 3.1 and 3.2).

    L = sup_weight * (L_s of both networks) + unsup_weight * (CE(P_1, argmax P_2) + CE(P_2, argmax P_1)) with the logits
    P_1 and P_2 of the two networks.

    Without ``cutmix`` the labels are those of the step's own logits, and labeled images are cross-supervised as well.
    With ``cutmix`` both networks label the unlabeled images in a pass without gradient, images and labels are mixed,
    and unlabeled images alone are cross-supervised, as in the release. Each image receives rectangles of the *next
    image of the batch*; the release draws both of its unlabeled batches with one seed, so that it pastes an image into
    itself (its issues 57, 60 and 78).

    Args:
        sup_weight: Default 1.
        unsup_weight: The paper's lambda. Default 1.5 (release: VOC 1.5, with CutMix 1; Cityscapes 6, with CutMix 5).
        cutmix: Default None. The release's: ``dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None)``.
        cps_on_labeled: Whether labeled images are cross-supervised, too; means nothing with ``cutmix``. Default True.
        labels_in: Mode of the networks in the labelling pass of ``cutmix``: ``'train'``, as in the release, updates
            the statistics of batch norm; ``'eval'``. With an :class:`AllSparkNeck` the first network always labels in
            eval mode, with the neck's memory. Default ``'train'``.
        **kwargs: Those of :class:`TwoNetworkSegmentor`. With ``pseudo_loss`` that loss takes the place of CE.
    """

    @check_types
    def __init__(
        self,
        *,
        sup_weight: LossWeight = 1.0,
        unsup_weight: LossWeight = 1.5,
        cps_on_labeled: bool = True,
        labels_in: Literal["train", "eval"] = "train",
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(sup_weight=sup_weight, unsup_weight=unsup_weight, **kwargs)
        self.cps_on_labeled = cps_on_labeled and self.cutmix is None
        self.labels_in = labels_in

    @property
    def needs(self) -> Needs:
        """Labels of the two networks in training; a teacher or label files have no part."""
        own = " and its second network" if self.cutmix else " and its second network, out of the step itself"
        return replace(super().needs, labels_from="model", label_source=own, unlabeled_in_burn_in=self.steers_neck)

    @torch.no_grad()
    def label(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step) -> PseudoLabel | None:
        """Labels of the first network with those of the second as extras; without ``cutmix`` none, or the neck's."""
        if self.cutmix is None:
            return super().label(inputs, data_samples, step) if self.steers_neck else None
        first = super().label(inputs, data_samples, step)
        return join_labels(first, self.make_pseudo_label(self.label_by_second(inputs["weak"]), first.valid))

    @torch.no_grad()
    def label_by_second(self, images: Tensor) -> Tensor:
        """Logits (B, K, H, W) of images (B, 3, H, W) by the second network, in the mode ``labels_in``."""
        if self.labels_in == "eval":
            return super().label_by_second(images)
        return self.upsample_second(self.pass_second(images).logits, images.shape[2:])

    def sup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses ``sup.*`` of the first network and ``sup.second.*`` of the second."""
        samples, images = joint.data_samples["labeled"], joint.inputs["labeled"]
        second = self.pass_second(images) if joint.aux is None else joint.aux[1]
        return super().sup_losses(joint) | self.second_sup_losses(second.logits[: len(images)], samples)

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Loss of each network against the other's labels, and the share of pixels on which the two disagree."""
        start, size = 0 if self.cps_on_labeled else joint.num_labeled, joint.images.shape[2:]
        first = self.upsample(joint.logits[start:], size)
        second = self.upsample_second(joint.aux[1].logits[start:], size)
        by_first, by_second = self._labels(joint, first, second)
        if self.pseudo_loss is None:
            of_first, of_second = by_second.pixel_loss(first), by_first.pixel_loss(second)
        else:  # one call: a loss that looks at the whole batch sees both networks
            logits, targets = torch.cat([first, second]), torch.cat([by_second.logits, by_first.logits])
            of_first, of_second = self.pseudo_loss(logits, targets).chunk(2)
        scale = self.unsup_weight * joint.step.unsup_scale
        return {
            "unsup.decode.loss_cps": by_second.mean_loss(of_first) * scale,
            "unsup.second.loss_cps": by_first.mean_loss(of_second) * scale,
            "unsup.disagreement": (by_first.label != by_second.label).float().mean(),
        }

    @torch.no_grad()
    def _labels(self, joint: JointPass, first: Tensor, second: Tensor) -> tuple[PseudoLabel, PseudoLabel]:
        """Labels by either network of the images whose logits (B, K, H, W) are given."""
        if self.cutmix is not None:
            return split_labels(joint.pseudo)
        samples, number = joint.data_samples["unlabeled"], len(joint.images)
        if self.cps_on_labeled:
            samples = [*joint.data_samples["labeled"], *samples]
        valid = self.valid_pixels(samples)
        if joint.pseudo is None:
            of_unlabeled = None if valid is None else valid[-number:]
            self.observe(joint.data_samples["labeled"], first[-number:].detach(), of_unlabeled)
        by_first = self.make_pseudo_label(first.detach(), valid)
        recorded = {name: values[-number:] for name, values in by_first.maps().items()}
        joint.step.record["pseudo"] = PseudoLabel.from_maps(recorded)
        return by_first, self.make_pseudo_label(second.detach(), valid)
