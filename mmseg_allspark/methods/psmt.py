"""PS-MT (CVPR 2022, arXiv 2111.12903): two teachers in turns, and features perturbed against their prediction."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.labels import AdaptiveCutMix, CutMix, PseudoLabel, masked_mean, max_probability
from mmseg_allspark.labels.adversarial import adversarial_noise
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.models import SplitHead
from mmseg_allspark.utils.checks import Between, LossWeight, PositiveInt, check_keys, check_types, check_value
from mmseg_allspark.utils.wrappers import eval_mode

_VAT = dict(
    xi=Annotated[float, Between(1e-9)], eps=Annotated[float, Between(0.0)], steps=PositiveInt, labeled=bool
)  # options, and what they have to be


@MODELS.register_module()
class PSMTSegmentor(SemiSegmentor):
    """Perturbed and strict mean teachers (section 3).

    Two teachers take turns: in each epoch of the unlabeled images one follows the student and the other rests. Their
    mean labels the weak view. The student learns from mixed strong views, and from labeled images, with noise on the
    features before the last part of the decode head. The noise is what changes the teachers' prediction most
    (:func:`adversarial_noise`). Needs ``MeanTeacherHook(num_teachers=2)``, ``train_cfg.pseudo_labels_from='ema'`` and a
    decode head in two parts (:class:`SplitHead`); further teachers take turns as well.

    L = sup_weight * L_s + unsup_weight * L_u, where L_u is the mean over the sure pixels of the teachers' confidence
    times the cross-entropy against their class.

    Args:
        assist_topk: A teacher that rests keeps so many of its largest logits of a pixel, and has those of the
            teacher whose turn it is elsewhere, before the mean is taken. None, or no more classes than that: the plain
            mean. Default 7, as in the release.
        vat: ``xi``, ``eps`` and ``steps`` of :func:`adversarial_noise`, and ``labeled``, whether labeled images have
            noise, too. Default ``dict()``: 0.1, 2, 1, True; None: no noise. The release's ``xi`` is 1e-6, which is lost
            in the rounding of float32.
        evaluated: ``'mean'``: validation and test look at the mean of all teachers' logits; ``'first'``: at the first
            teacher alone. An exported plain model holds the first. Default ``'mean'``.
        labels_in: Mode of the teachers while they label: ``'train'``, as in the release, with the batch's own
            statistics of batch norm; ``'eval'``. With an :class:`AllSparkNeck` always ``'eval'``. Default ``'train'``.
        cutmix: ``dict(beta=(4.0, 4.0))``: a rectangle of another image, of one size for the batch, whose share of the
            image follows a Beta distribution (:class:`AdaptiveCutMix`), or arguments of :class:`CutMix`. Default the
            first; None: off.
        unlabeled_view: Default ``'strong'``.
        sup_weight: Default 1.
        unsup_weight: Default 1.5.
        confidence: Default ``dict(type='ConfidenceThreshold', threshold=0.6)``.
        **kwargs: Those of :class:`SemiSegmentor`. With ``pseudo_loss`` that loss takes the place of cross-entropy.

    Raises:
        TypeError: If the decode head is not in two parts, or ``vat`` has another key.
    """

    @check_types
    def __init__(
        self,
        *,
        assist_topk: PositiveInt | None = 7,
        vat: dict | None = dict(),  # noqa: B006, C408 (never changed)
        evaluated: Literal["mean", "first"] = "mean",
        labels_in: Literal["train", "eval"] = "train",
        cutmix: dict | None = dict(beta=(4.0, 4.0)),  # noqa: B006
        unlabeled_view: str = "strong",
        sup_weight: LossWeight = 1.0,
        unsup_weight: LossWeight = 1.5,
        confidence: dict | None = dict(type="ConfidenceThreshold", threshold=0.6),  # noqa: B006
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(
            unlabeled_view=unlabeled_view,
            sup_weight=sup_weight,
            unsup_weight=unsup_weight,
            confidence=confidence,
            **kwargs,
        )
        if vat is not None:
            check_keys("model.vat", vat, list(_VAT))
            for name, value in vat.items():
                check_value(f"model.vat.{name}", value, _VAT[name])
            if not isinstance(self.decode_head, SplitHead):
                raise TypeError(
                    f"model.decode_head.type={type(self.decode_head).__name__!r} is not in two parts, between which "
                    "PS-MT adds noise: use DeepLabV3PlusHead, SplitASPPHead or SegformerMLPHead, or set model.vat=None."
                )
        self.vat = None if vat is None else dict(vat)
        self.assist_topk, self.evaluated, self.labels_in = assist_topk, evaluated, labels_in
        self.cutmix = None if cutmix is None else CutMix(**cutmix) if "beta" not in cutmix else _beta_cutmix(**cutmix)
        self.other_teachers: Sequence[nn.Module] = ()  # set while the first teacher's weights are evaluated

    @property
    def needs(self) -> Needs:
        """Teachers that label in turns."""
        return replace(super().needs, labels_from="ema", teachers=(2, None))

    @torch.no_grad()
    def label(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step) -> PseudoLabel:
        """Pseudo labels of the weak view by all teachers."""
        logits = [labeler.label_unlabeled(inputs) for labeler in step.labelers or (self,)]
        return self.finish_label(assisted_mean(logits, step.turn, self.assist_topk), data_samples)

    @torch.no_grad()
    def mix(
        self, inputs: dict[str, Tensor], data_samples: SamplesByPart, pseudo: PseudoLabel, step: Step
    ) -> tuple[Tensor, PseudoLabel]:
        """Strong views (B_u, 3, H, W) and their labels, mixed with each other."""
        if not isinstance(self.cutmix, AdaptiveCutMix):
            return super().mix(inputs, data_samples, pseudo, step)
        maps = dict(pseudo.maps(), images=inputs[self.unlabeled_view])
        mixed = self.cutmix(maps, maps, pseudo.weight.new_ones(len(pseudo.label)))
        return mixed.pop("images"), PseudoLabel.from_maps(mixed)

    def joint_pass(
        self,
        inputs: dict[str, Tensor],
        data_samples: SamplesByPart,
        images: Tensor,
        pseudo: PseudoLabel,
        step: Step,
    ) -> JointPass:
        """Forward of labeled and mixed images, with noise on the features between the two parts of the head."""
        if self.vat is None:
            return super().joint_pass(inputs, data_samples, images, pseudo, step)
        labeled = inputs["labeled"]
        feats = self.extract_feat(
            torch.cat([labeled, images]), num_labeled=len(labeled), pseudo_logits=pseudo.logits, **step.options
        )
        hidden = self.decode_head.trunk(feats)
        heads = [labeler.decode_head for labeler in step.labelers or (self,)]
        start = 0 if self.vat.get("labeled", True) else len(labeled)
        noise = self.noise(heads, hidden[start:], images.shape[2:])
        hidden = torch.cat([hidden[:start], hidden[start:] + noise.to(hidden.dtype)])
        return JointPass(
            inputs, data_samples, step, len(labeled), list(feats), self.decode_head.tail(hidden), pseudo, images=images
        )

    def noise(self, heads: Sequence[nn.Module], hidden: Tensor, size: tuple[int, int]) -> Tensor:
        """Noise (B, C, h, w) for features before the heads' last part, whose logits have the size of the images."""

        def decode(features: Tensor) -> Tensor:
            logits = []
            for head in heads:
                with eval_mode(head):
                    logits.append(self.upsample(head.tail(features), size))
            return torch.stack(logits).mean(dim=0)

        options = {name: value for name, value in self.vat.items() if name != "labeled"}
        return adversarial_noise(decode, hidden, **options)

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Cross-entropy of the sure pixels, weighted by the teachers' confidence."""
        loss = self.confident_loss(joint.unlabeled_logits, joint.pseudo)
        return {"unsup.decode.loss_ce": loss * (self.unsup_weight * joint.step.unsup_scale)}

    def confident_loss(self, logits: Tensor, pseudo: PseudoLabel) -> Tensor:
        """Mean over the sure pixels of (B_u, K, h, w) logits; 0 where none is sure."""
        logits = self.upsample(logits, pseudo.label.shape[1:])
        with torch.no_grad():
            confidence = max_probability(pseudo.logits)
            sure = pseudo.weight > 0 if pseudo.valid is None else (pseudo.weight > 0) & pseudo.valid
        return masked_mean(confidence * pseudo.weight * pseudo.pixel_loss(logits, self.pseudo_loss), sure)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (B, K, H, W), with ``evaluated='mean'`` the mean over all teachers."""
        logits = [super().encode_decode(inputs, batch_img_metas)]
        for teacher in self.other_teachers if self.evaluated == "mean" else ():
            with eval_mode(teacher):
                logits.append(teacher.to(inputs.device).encode_decode(inputs, batch_img_metas))
        return torch.stack(logits).mean(dim=0)


def _beta_cutmix(beta: tuple[float, float], prob: float = 1.0) -> AdaptiveCutMix:
    return AdaptiveCutMix(labeled_beta=None, unlabeled_beta=beta, prob=prob)


def assisted_mean(logits: Sequence[Tensor], turn: int, topk: int | None) -> Tensor:
    """Mean of the teachers' logits, in which those that rest have only their largest ones of their own.

    Args:
        logits: (B, K, H, W) of each teacher.
        turn: Which of them follows the student.
        topk: How many logits of a pixel are a resting teacher's own; None: all.

    Returns:
        (B, K, H, W).
    """
    core = logits[turn % len(logits)]
    if topk is not None and topk < core.shape[1]:
        # the topk-th largest of each pixel; equal ones are kept as well
        logits = [one if one is core else torch.where(one >= kth(one, topk), one, core) for one in logits]
    return logits[0] if len(logits) == 1 else torch.stack(list(logits)).mean(dim=0)


def kth(logits: Tensor, k: int) -> Tensor:
    """The k-th largest logit of each pixel: (B, K, H, W) -> (B, 1, H, W)."""
    return logits.topk(k, dim=1).values[:, -1:]
