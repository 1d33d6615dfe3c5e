"""UniMatch (CVPR 2023, arXiv 2208.09910): strong views and perturbed features, held to the weak view's labels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.utils.checks import LossWeight, Share, check_types


@MODELS.register_module()
class UniMatchSegmentor(SemiSegmentor):
    """Unified dual-stream perturbations (sections 3.2 and 3.3).

    L = sup_weight * L_s + unsup_weight * (strong_weight * mean over strong views + feature_weight * L_fp). The
    defaults are the release's (L_s + 0.25 L_s1 + 0.25 L_s2 + 0.5 L_fp) / 2.

    A rectangle of the *next image of the batch* is pasted into each strong view, with that image's labels. The release
    draws its two streams of unlabeled images with one seed, so that it pastes an image into itself (its issues
    34 and 51). With an :class:`AllSparkNeck` the memory learns from the weak view; the strong views pass the branch for
    unlabeled images.

    Args:
        strong_views: Names of the strong views in the unlabeled pipeline's ``MultiView``. Default
            ``('strong1', 'strong2')``.
        strong_weight: Weight of the strong views together. Default 0.5.
        feature_weight: Weight of the perturbed features; 0 leaves them out. Default 0.5.
        feature_drop: Probability that a channel of the weak view's features is dropped. Default 0.5.
        own_labels: Where an image's own labels come from. ``'train'``, as in the release: the weak view's logits
            of the step itself, in train mode. ``'eval'``: those of ``PseudoLabelLoop`` in eval mode, from which pasted
            labels come in both cases. Default ``'train'``.
        confidence: Default ``dict(type='ConfidenceThreshold', threshold=0.95)``.
        cutmix: Default ``dict()``: probability 0.5, area 2 to 40 %, aspect 0.3 to 3.3, as in the
            release (which draws the aspect uniformly).
        mask_padding: Default True, as in the release.
        **kwargs: Those of :class:`SemiSegmentor`; ``unlabeled_view`` has to be ``'weak'``.

    Raises:
        ValueError: On a weight or probability out of range, or no strong view.
    """

    @check_types
    def __init__(
        self,
        *,
        strong_views: Sequence[str] = ("strong1", "strong2"),
        strong_weight: LossWeight = 0.5,
        feature_weight: LossWeight = 0.5,
        feature_drop: Share = 0.5,
        own_labels: Literal["train", "eval"] = "train",
        confidence: dict | None = dict(type="ConfidenceThreshold", threshold=0.95),  # noqa: B006 (never changed)
        cutmix: dict | None = dict(),  # noqa: B006, C408
        mask_padding: bool = True,
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(confidence=confidence, cutmix=cutmix, mask_padding=mask_padding, **kwargs)
        if not strong_views:
            raise ValueError("model.strong_views is empty: name at least one strong view of the unlabeled pipeline.")
        if self.unlabeled_view != "weak":
            raise ValueError(
                f"model.unlabeled_view={self.unlabeled_view!r}: UniMatch's is 'weak', its strong views are "
                "model.strong_views. If it is inherited, from AllSpark's options say, model=dict(_delete_=True, ...)."
            )
        self.strong_views, self.own_labels = tuple(strong_views), own_labels
        self.strong_weight, self.feature_weight, self.feature_drop = strong_weight, feature_weight, feature_drop

    @property
    def needs(self) -> Needs:
        """The weak view is decoded for its labels, the strong ones are trained on."""
        own = " where images are pasted, and from the step itself elsewhere" if self.own_labels == "train" else ""
        return replace(super().needs, views=("weak", *self.strong_views), label_source=own)

    def mix(
        self, inputs: dict[str, Tensor], data_samples: SamplesByPart, pseudo: PseudoLabel, step: Step
    ) -> tuple[Tensor, PseudoLabel]:
        """The weak view as it is; the strong ones are mixed by :meth:`unsup_losses`."""
        return inputs["weak"], pseudo

    def decode_joint(self, feats: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Decode the features and, in the same batch as the release does, the perturbed ones: logits of both."""
        if self.feature_weight == 0:
            return super().decode_joint(feats)
        both = [torch.cat([level, F.dropout2d(level, self.feature_drop)]) for level in feats]
        return self.decode(both).chunk(2)

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses of the strong views and of the perturbed features."""
        own = joint.step.record["pseudo"] = self._own_labels(joint)
        pairs = [self.paste(joint.inputs[name], own, joint.pseudo) for name in self.strong_views]
        images, targets = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        # a second pass with its own statistics of batch norm, as in the release
        feats = self.extract_feat(torch.cat(images), num_labeled=0)
        logits = self.decode(feats).chunk(len(images))
        strong = sum(map(self.pseudo_label_loss, logits, targets)) / len(images)
        scale = self.unsup_weight * joint.step.unsup_scale
        losses = {"unsup.decode.loss_strong": strong * (self.strong_weight * scale)}
        if joint.aux is not None:
            loss = self.pseudo_label_loss(joint.aux[joint.num_labeled :], own)
            losses["unsup.decode.loss_feature"] = loss * (self.feature_weight * scale)
        return losses

    @torch.no_grad()
    def _own_labels(self, joint: JointPass) -> PseudoLabel:
        if self.own_labels == "eval" or joint.step.labels_from == "data":
            return joint.pseudo
        logits = self.upsample(joint.unlabeled_logits.detach(), joint.pseudo.label.shape[1:])
        return self.make_pseudo_label(logits, joint.pseudo.valid)
