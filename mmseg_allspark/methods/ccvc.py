"""CCVC (CVPR 2023, arXiv 2303.01276): two networks with different features that have to agree in their predictions."""

from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.labels import PseudoLabel, max_probability
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart, scale_losses
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.methods.two_networks import NetworkOutput, TwoNetworkSegmentor, join_labels, split_labels
from mmseg_allspark.models import FeatureMapping, SplitHead
from mmseg_allspark.utils.checks import LossWeight, Share, check_types

Pair = tuple[NetworkOutput, NetworkOutput]  # of the first and the second network
Labels = tuple[PseudoLabel, PseudoLabel]


@MODELS.register_module()
class CCVCSegmentor(TwoNetworkSegmentor):
    """Conflict-based cross-view consistency (section 3).

    L = sup_weight * L_s + unsup_weight * L_con + discrepancy_weight * (D_labeled + D_unlabeled) / 2. L_s is the mean of
    both networks' losses. L_con is the mean cross-entropy of each network against the other's labels, on the weak view
    and on the mixed strong view. There every pixel counts; it counts ``conflict_weight`` times where the networks
    disagree and the one that labels is sure. D = 1 + the mean cosine of the two networks' features
    (:func:`discrepancy`), so that the networks stay different. The features of the second network pass a mapping
    (:class:`FeatureMapping`), which is a part of that network.

    The labels of the strong view are those of the weak view in eval mode; those of the weak view are the step's own.

    Args:
        sup_weight: Default 5 (release: VOC 5, Cityscapes 1).
        unsup_weight: Weight of the consistency. Default 2 (release: VOC 2, Cityscapes 1).
        discrepancy_weight: Default 1.
        conflict_weight: How often a conflicting pixel counts. Default 1.5 (release: VOC 1.5, Cityscapes 2).
        conflict_threshold: What the labelling network has to exceed to be sure. Default 0.9 (release: Cityscapes 0).
        conflict_by: ``'probability'``: its largest probability; ``'logit'``: its largest logit, as in the release,
            where nearly every conflict counts more. Default ``'probability'``.
        conflict_of: ``'mixed'``: the conflicts of the strong view are mixed with its labels; ``'unmixed'``: inside the
            rectangles they are those of the image that was there before, as in the release. Default ``'mixed'``.
        mapping: Options of :class:`FeatureMapping`; None: no mapping. Default ``dict(norm=True, dropout=0.5)``.
        strong_view: Name of the strong view; None: the variant without augmentation, which learns from the weak view
            alone, without mixing. Default ``'strong'``.
        cutmix: Default ``dict(prob=1.0)``: one rectangle of 2 to 40 % of the area in every image.
        mask_padding: Default True, as in the release; padding counts in D all the same.
        **kwargs: Those of :class:`TwoNetworkSegmentor`; ``unlabeled_view`` has to be ``'weak'``.

    Raises:
        TypeError: If a decode head has not two parts.
        ValueError: On options that contradict each other.
    """

    @check_types
    def __init__(
        self,
        *,
        sup_weight: LossWeight = 5.0,
        unsup_weight: LossWeight = 2.0,
        discrepancy_weight: LossWeight = 1.0,
        conflict_weight: LossWeight = 1.5,
        conflict_threshold: Share = 0.9,
        conflict_by: Literal["probability", "logit"] = "probability",
        conflict_of: Literal["mixed", "unmixed"] = "mixed",
        mapping: dict | None = dict(norm=True, dropout=0.5),  # noqa: B006 (never changed)
        strong_view: str | None = "strong",
        cutmix: dict | None = dict(prob=1.0),  # noqa: B006
        mask_padding: bool = True,
        **kwargs,  # noqa: ANN003
    ) -> None:
        weights = dict(sup_weight=sup_weight, unsup_weight=unsup_weight)
        cutmix = None if strong_view is None else cutmix
        super().__init__(cutmix=cutmix, mask_padding=mask_padding, **weights, **kwargs)
        self.discrepancy_weight, self.conflict_weight = discrepancy_weight, conflict_weight
        self.conflict_threshold, self.conflict_by, self.conflict_of = conflict_threshold, conflict_by, conflict_of
        self.strong_view = strong_view
        self._check_options()
        head = self.second.decode_head
        if mapping is not None:
            head.mapping = FeatureMapping(head.trunk_channels, **dict(norm_cfg=head.norm_cfg) | dict(mapping))

    def _check_options(self) -> None:
        """Raise on heads and options that do not go together."""
        heads = self.decode_head, self.second.decode_head
        for head in heads:
            if not isinstance(head, SplitHead):
                raise TypeError(
                    f"model.decode_head.type={type(head).__name__!r} is not in two parts, between which CCVC compares "
                    "features: use SplitASPPHead, DeepLabV3PlusHead or SegformerMLPHead."
                )
        if heads[0].trunk_channels != heads[1].trunk_channels:
            raise ValueError(
                f"model.second.decode_head: its features have {heads[1].trunk_channels} channels, those of "
                f"model.decode_head {heads[0].trunk_channels}; CCVC compares them, so give both heads the same widths."
            )
        if self.unlabeled_view != "weak":
            raise ValueError(
                f"model.unlabeled_view={self.unlabeled_view!r}: CCVC's is 'weak', its strong view is model.strong_view."
            )

    @property
    def needs(self) -> Needs:
        """Labels of the two networks in training; a teacher or label files have no part."""
        own = " and its second network; on the weak view they are the step's own"
        views = ("weak",) if self.strong_view is None else ("weak", self.strong_view)
        return replace(super().needs, views=views, labels_from="model", label_source=own)

    @torch.no_grad()
    def label(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step) -> PseudoLabel | None:
        """Labels for the strong view: the first network's, with those of the second and the conflicts as extras."""
        if self.strong_view is None:
            return super().label(inputs, data_samples, step) if self.steers_neck else None
        first = super().label(inputs, data_samples, step)
        second = self.make_pseudo_label(self.label_by_second(inputs["weak"]), first.valid)
        return join_labels(*self._with_conflicts(first, second))

    def mix(
        self, inputs: dict[str, Tensor], data_samples: SamplesByPart, pseudo: PseudoLabel | None, step: Step
    ) -> tuple[Tensor, PseudoLabel | None]:
        """The weak view as it is; the strong one is mixed by :meth:`unsup_losses`."""
        return inputs["weak"], pseudo

    def decode_joint(self, feats: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits and features of the first network."""
        hidden = self.decode_head.trunk(feats)
        return self.decode_head.tail(hidden), hidden

    def pass_second(self, images: Tensor) -> NetworkOutput:
        """Forward of the second network with its mapping."""
        head = self.second.decode_head
        hidden = head.trunk(self.second.extract_feat(images))
        hidden = head.mapping(hidden) if hasattr(head, "mapping") else hidden
        return NetworkOutput(head.tail(hidden), hidden)

    def pass_mixed(self, images: Tensor) -> Pair:
        """Forward of the mixed images (B_u, 3, H, W) by both networks, with their own statistics of batch norm."""
        return NetworkOutput(*self.decode_joint(self.extract_feat(images, num_labeled=0))), self.pass_second(images)

    def sup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses ``sup.*`` and ``sup.second.*``, and the discrepancy on the labeled images."""
        first, second = (network.images(slice(joint.num_labeled)) for network in joint.aux)
        losses = super().sup_losses(joint) | self.second_sup_losses(second.logits, joint.data_samples["labeled"])
        losses = scale_losses(losses, 0.5)
        distance = discrepancy(first.hidden, second.hidden)
        return losses | {"sup.loss_discrepancy": distance * (self.discrepancy_weight / 2)}

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Consistency of each network with the other on every view, discrepancy, and the shares of conflicts."""
        raw = tuple(network.images(slice(joint.num_labeled, None)) for network in joint.aux)
        own = self._own_labels(joint, raw)
        views = dict(raw=(raw, own))
        if self.strong_view is not None:
            images, pseudo = self.paste(joint.inputs[self.strong_view], joint.pseudo, joint.pseudo)
            views["mixed"] = self.pass_mixed(images), self._mixed_labels(pseudo, joint.pseudo)
        scale, losses = joint.step.unsup_scale / (2 * len(views)), {}
        for view, ((first, second), (by_first, by_second)) in views.items():
            size = joint.images.shape[2:]
            of_first = self._consistency(self.upsample(first.logits, size), by_second)
            of_second = self._consistency(self.upsample_second(second.logits, size), by_first)
            losses[f"unsup.decode.loss_{view}"] = of_first * (self.unsup_weight * scale)
            losses[f"unsup.second.loss_{view}"] = of_second * (self.unsup_weight * scale)
        distance = sum(discrepancy(first.hidden, second.hidden) for (first, second), _ in views.values())
        losses["unsup.loss_discrepancy"] = distance * (self.discrepancy_weight * scale)
        losses["unsup.disagreement"] = (own[0].label != own[1].label).float().mean()
        losses["unsup.sure_conflicts"] = own[0].extras["conflict"].float().mean()
        return losses

    def _consistency(self, logits: Tensor, pseudo: PseudoLabel) -> Tensor:
        """Loss of logits (B, K, H, W) of one network against the labels of the other."""
        weight = 1.0 + (self.conflict_weight - 1.0) * pseudo.extras["conflict"]
        return pseudo.mean_loss(pseudo.pixel_loss(logits, self.pseudo_loss) * weight)

    @torch.no_grad()
    def _own_labels(self, joint: JointPass, raw: Pair) -> Labels:
        """Labels of the weak view by either network out of the step itself."""
        size, valid = joint.images.shape[2:], self.valid_pixels(joint.data_samples["unlabeled"])
        first, second = self.upsample(raw[0].logits, size), self.upsample_second(raw[1].logits, size)
        if joint.pseudo is None:
            self.observe(joint.data_samples["labeled"], first, valid)
        labels = self._with_conflicts(self.make_pseudo_label(first, valid), self.make_pseudo_label(second, valid))
        if joint.pseudo is None:
            joint.step.record["pseudo"] = labels[0]
        return labels

    def _mixed_labels(self, mixed: PseudoLabel, unmixed: PseudoLabel) -> Labels:
        """Labels of the mixed images by either network."""
        if self.conflict_of == "unmixed":
            names = ("conflict", "second_conflict")
            mixed = replace(mixed, extras=mixed.extras | {name: unmixed.extras[name] for name in names})
        return split_labels(mixed)

    def _with_conflicts(self, first: PseudoLabel, second: PseudoLabel) -> Labels:
        """Labels of both networks, each with ``extras['conflict']`` (B, H, W) bool: they differ, and it is sure."""
        differ = first.label != second.label
        return tuple(
            replace(labels, extras=dict(conflict=differ & self._is_sure(labels))) for labels in (first, second)
        )

    def _is_sure(self, pseudo: PseudoLabel) -> Tensor:
        by_logit = self.conflict_by == "logit"
        largest = pseudo.logits.float().amax(dim=1) if by_logit else max_probability(pseudo.logits)
        return largest > self.conflict_threshold


def discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """1 + the mean cosine of two networks' features at a position, with half of its gradient for each.

    Args:
        first: (B, C, h, w).
        second: Of the same shape.

    Returns:
        Scalar in [0, 2], in [1, 2] for features that are not negative.
    """
    cosine = F.cosine_similarity(first.float(), second.float(), dim=1, eps=1e-6).mean()
    return 1.0 + (cosine + cosine.detach()) / 2  # the release detaches one side, then the other, and halves the sum
