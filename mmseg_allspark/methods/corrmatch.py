"""CorrMatch (CVPR 2024, arXiv 2306.04300): UniMatch with correlations that propagate logits and labels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_allspark.labels import PseudoLabel, max_probability, spread_labels
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart, stack_masks
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.methods.unimatch import UniMatchSegmentor
from mmseg_allspark.models import PixelCorrelation
from mmseg_allspark.utils.checks import Count, LossWeight, Share, check_types


class Correlated(NamedTuple):
    """What the joint pass keeps: logits of perturbed features (or None), propagated logits, and the affinity."""

    perturbed: Tensor | None
    propagated: Tensor
    affinity: Tensor


@MODELS.register_module()
class CorrMatchSegmentor(UniMatchSegmentor):
    """Weak-to-strong consistency with label propagation by correlation maps.

    L = sup_weight * ((1 - sup_corr_share) L_x + sup_corr_share L_xc) + unsup_weight * (strong_weight L_s +
    kl_weight L_kl + feature_weight L_fp + corr_weight L_c); the defaults are the release's. L_xc and L_c are those of
    logits that :class:`PixelCorrelation` propagates; L_kl compares the strong view with the weak view's probabilities.
    Labels spread over segments (:func:`spread_labels`) before the strong view learns them. The release pastes an image
    into itself, as UniMatch's does; here the next image of the batch is pasted.

    Args:
        correlation: Options of :class:`PixelCorrelation`; the head gives its ``in_channels`` (those of the level),
            ``norm_cfg`` and ``align_corners``, and ``dim`` is the number of classes. Default ``dict()``.
        corr_index: Level of the features that are correlated. If the head does not take all levels and this is not its
            last one, give ``correlation.in_channels``. Default -1.
        segments: Segments that are drawn in each step; 0: labels do not spread. Default 128.
        sup_corr_share: Share of the propagated logits in the loss of labeled images. Default 0.5.
        kl_weight: Default 0.25.
        corr_weight: Of both views together. Default 0.25.
        kl_mixed: Mix the target of L_kl as the images are. Default False: it is the image's own everywhere, also where
            another image is pasted, as in the release.
        strong_views: One strong view. Default ``('strong',)``.
        strong_weight: Default 0.25.
        feature_weight: Default 0.25; 0 leaves the perturbed features out.
        confidence: One threshold for all classes. Default ``dict(type='GlobalMaxThreshold')``.
        **kwargs: Those of :class:`UniMatchSegmentor`.

    Raises:
        ValueError: On several strong views, or a ``confidence`` without one threshold.
    """

    @check_types
    def __init__(
        self,
        *,
        correlation: dict = dict(),  # noqa: B006, C408 (never changed)
        corr_index: int = -1,
        segments: Count = 128,
        sup_corr_share: Share = 0.5,
        kl_weight: LossWeight = 0.25,
        corr_weight: LossWeight = 0.25,
        kl_mixed: bool = False,
        strong_views: Sequence[str] = ("strong",),
        strong_weight: LossWeight = 0.25,
        feature_weight: LossWeight = 0.25,
        confidence: dict | None = dict(type="GlobalMaxThreshold"),  # noqa: B006
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(
            strong_views=strong_views,
            strong_weight=strong_weight,
            feature_weight=feature_weight,
            confidence=confidence,
            **kwargs,
        )
        if len(strong_views) != 1:
            raise ValueError(f"model.strong_views={tuple(strong_views)}: CorrMatch has one strong view.")
        threshold = getattr(self.confidence, "threshold", None)
        if threshold is None or len(threshold) != 1 or getattr(self.confidence, "per", "pixel") != "pixel":
            raise ValueError(
                f"model.confidence={confidence}: labels spread by one threshold for all classes and pixels. Use "
                "dict(type='GlobalMaxThreshold'), or ConfidenceThreshold with one number and per='pixel'."
            )
        head = self.decode_head
        channels = head.in_channels if isinstance(head.in_channels, int) else head.in_channels[corr_index]
        options = dict(norm_cfg=head.norm_cfg, align_corners=head.align_corners) | dict(correlation)
        self.correlation = PixelCorrelation(**dict(in_channels=channels, dim=self.num_classes) | options)
        self.corr_index, self.segments, self.sup_corr_share = corr_index, segments, sup_corr_share
        self.kl_weight, self.corr_weight, self.kl_mixed = kl_weight, corr_weight, kl_mixed

    @property
    def needs(self) -> Needs:
        """The model labels: the threshold, of the step's own logits, weighs all labels anew."""
        return replace(super().needs, labels_from="model")

    def observe(self, data_samples: list[SegDataSample], pseudo_logits: Tensor, valid: Tensor | None) -> None:
        """Let the alignment follow; the threshold follows the logits of the step itself, in :meth:`unsup_losses`."""
        if self.alignment is not None:
            self.alignment.update(stack_masks(data_samples), pseudo_logits, self.decode_head.ignore_index, valid)

    def joint_pass(
        self,
        inputs: dict[str, Tensor],
        data_samples: SamplesByPart,
        images: Tensor,
        pseudo: PseudoLabel,
        step: Step,
    ) -> JointPass:
        """UniMatch's joint pass, with :class:`Correlated` as ``aux``."""
        joint = super().joint_pass(inputs, data_samples, images, pseudo, step)
        return replace(joint, aux=Correlated(joint.aux, *self._correlate(joint.feats, joint.logits, images)))

    def sup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses of the logits and of the propagated logits of the labeled images."""
        if joint.aux is None:  # a step of labeled images alone
            propagated, _ = self._correlate(joint.feats, joint.logits, joint.inputs["labeled"])
        else:
            propagated = joint.aux.propagated[: joint.num_labeled]
        share = self.sup_corr_share
        losses = {
            name: value * (1.0 - share) if name.startswith("sup.decode.loss") else value
            for name, value in super().sup_losses(joint).items()
        }
        more = self.decode_head.loss_by_feat(propagated, joint.data_samples["labeled"])
        weight = self.sup_weight * share
        return losses | {f"sup.corr.{name}": value * weight for name, value in more.items() if "loss" in name}

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses of the strong view, of the perturbed features and of the propagated logits."""
        own, images, mixed = self._targets(joint)
        joint.step.record["pseudo"] = own
        spread = self._spread(joint, mixed)
        strong, strong_propagated = self._strong_pass(images)
        weak_propagated = joint.aux.propagated[joint.num_labeled :]
        propagated = self.pseudo_label_loss(strong_propagated, spread) + self.pseudo_label_loss(weak_propagated, own)
        losses = {
            "unsup.decode.loss_strong": self.pseudo_label_loss(strong, spread) * self.strong_weight,
            "unsup.decode.loss_kl": self._divergence(strong, own, mixed) * self.kl_weight,
            "unsup.corr.loss_propagated": propagated * (self.corr_weight / 2),
        }
        if joint.aux.perturbed is not None:
            loss = self.pseudo_label_loss(joint.aux.perturbed[joint.num_labeled :], own)
            losses["unsup.decode.loss_feature"] = loss * self.feature_weight
        scale = self.unsup_weight * joint.step.unsup_scale
        return {name: loss * scale for name, loss in losses.items()}

    def _correlate(self, feats: list[Tensor], logits: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Propagated logits (B, K, h, w) and affinity (B, N, N), of logits that have been at the size of the images."""
        return self.correlation(feats[self.corr_index], self.upsample(logits.detach(), images.shape[2:]))

    def _strong_pass(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the mixed strong view and the propagated ones, from a pass of its own."""
        feats = self.extract_feat(images, num_labeled=0)
        logits = self.decode(feats)
        return logits, self._correlate(feats, logits, images)[0]

    @torch.no_grad()
    def _targets(self, joint: JointPass) -> tuple[PseudoLabel, Tensor, PseudoLabel]:
        """Labels of the weak view, the mixed strong view, and its labels; all weighed by the threshold of this step."""
        own, images = self._own_labels(joint), joint.inputs[self.strong_views[0]]
        is_own = torch.ones_like(own.label, dtype=torch.bool)
        pasted = replace(joint.pseudo, extras=dict(is_own=~is_own))
        images, mixed = self.paste(images, replace(own, extras=dict(is_own=is_own)), pasted)
        if hasattr(self.confidence, "update"):
            # labels before mixing, but padding after it, as in the release
            self.confidence.update(max_probability(own.logits), own.label, mixed.valid)
        own, mixed = (
            replace(part, weight=self.confidence(max_probability(part.logits), part.label)) for part in (own, mixed)
        )
        return own, images, mixed

    @torch.no_grad()
    def _spread(self, joint: JointPass, mixed: PseudoLabel) -> PseudoLabel:
        """Labels and weights after segments of the weak view have taken the class that most of them has."""
        if self.segments == 0:
            return mixed
        size = joint.feats[self.corr_index].shape[2:]
        rows = torch.randint(max(size.numel() - 1, 1), (self.segments,), device=mixed.label.device)  # never the last
        affinity = joint.aux.affinity[joint.num_labeled :]
        segments = self.correlation.segments(affinity, rows, size, mixed.label.shape[1:])
        inside, kept = mixed.extras["is_own"], mixed.weight > 0
        if mixed.valid is not None:
            inside, kept = inside & mixed.valid, kept & mixed.valid
        segments = segments & inside[:, None]
        label, kept = spread_labels(mixed.label, kept, segments, self.confidence.threshold, self.num_classes)
        return replace(mixed, label=label, weight=kept.float())

    def _divergence(self, strong: Tensor, own: PseudoLabel, mixed: PseudoLabel) -> Tensor:
        """Mean Kullback-Leibler divergence of the sure pixels: target probabilities against the strong view's."""
        strong = self.upsample(strong, own.label.shape[1:]).float().log_softmax(dim=1)
        target = (mixed if self.kl_mixed else own).logits.float().log_softmax(dim=1)
        return mixed.mean_loss(F.kl_div(strong, target, reduction="none", log_target=True).sum(dim=1))
