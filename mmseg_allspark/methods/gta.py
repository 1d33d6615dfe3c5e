"""GTA-Seg (NeurIPS 2022, arXiv 2301.07340): an assistant learns pseudo labels, and the student takes its features."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.labels import PseudoLabel, masked_quantiles, max_probability, mean_prediction
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart
from mmseg_allspark.methods.passes import pass_teachers
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.methods.two_networks import TwoNetworkSegmentor
from mmseg_allspark.utils.checks import Between, LossWeight, Percent, check_types

_CLASSIFIER = ("fuse", "conv_seg")  # of DeepLabV3PlusHead; other heads have only the last


@MODELS.register_module()
class GTASegmentor(TwoNetworkSegmentor):
    """A student that learns from masks alone, and an assistant that learns from pseudo labels alone.

    The assistant, ``self.second``, has the student's architecture. In the first step with unlabeled losses it becomes
    a copy of the student. Before each later pass the student's feature extractor moves towards that of the assistant:
    phi_S <- a * phi_S + (1 - a) * phi_A with a = min(1 - 1 / n, 1 - transfer_momentum) in the n-th transfer. Its
    classifier does not. So errors of pseudo labels reach the student's features, and not its decisions. The teacher, a
    moving average of the student, labels the weak view.

    L = sup_weight * L_s (student) + unsup_weight * L_u (assistant). L_u is the cross-entropy of the learned pixels
    weighted by 1 + confidence; the sum of the weights, of which dropped pixels have 1, is what it is divided by. Needs
    ``MeanTeacherHook``, with ``buffers='own'`` as in the release, and ``train_cfg.pseudo_labels_from='ema'``.

    Args:
        keep_percent: Percent of the pixels that are learned, those of the highest confidence. Default 80.
        confidence_from: ``'mixed'``: the teacher's confidence in train mode on the mixed images, as in the release;
            ``'weak'``: that of its labels, mixed alike, which saves a pass. Default ``'mixed'``.
        transfer_momentum: Least share of the assistant in the student's features in a step, 1 - a. Default 0.001.
        classifier: Modules of the decode head that are not transferred. Default None: ``fuse`` and ``conv_seg``, as far
            as the head has them.
        share_classifier: Student and assistant have one classifier, which learns from both losses. In the release it is
            so by a slip. With ``optim_wrapper.paramwise_cfg`` set its ``bypass_duplicate=True``. Default False.
        sup_weight: Default 1.
        unsup_weight: Default 1.
        cutmix: Default half of the area of every image or of none: ``dict(prob=0.5, area=(0.5, 0.5), aspect=None,
            per='batch')``.
        mask_padding: Default True. The release learns padding as class 0.
        **kwargs: Those of :class:`SemiSegmentor`, and ``separate_norm`` of :class:`TwoNetworkSegmentor`.

    Raises:
        TypeError: On ``second`` or ``evaluated``: the assistant has the student's form, and the student is evaluated.
        ValueError: If the decode head has no module that ``classifier`` names.
    """

    @check_types
    def __init__(
        self,
        *,
        keep_percent: Percent = 80.0,
        confidence_from: Literal["mixed", "weak"] = "mixed",
        transfer_momentum: Annotated[float, Between(1e-6, 1.0)] = 0.001,
        classifier: list[str] | None = None,
        share_classifier: bool = False,
        sup_weight: LossWeight = 1.0,
        unsup_weight: LossWeight = 1.0,
        cutmix: dict | None = dict(prob=0.5, area=(0.5, 0.5), aspect=None, per="batch"),  # noqa: B006 (never changed)
        mask_padding: bool = True,
        **kwargs,  # noqa: ANN003
    ) -> None:
        for name in ("second", "evaluated"):
            if name in kwargs:
                raise TypeError(f"model.{name} means nothing to GTASegmentor, whose second network is the assistant.")
        weights = dict(sup_weight=sup_weight, unsup_weight=unsup_weight)
        super().__init__(cutmix=cutmix, mask_padding=mask_padding, **weights, **kwargs)
        self.keep_percent, self.confidence_from = keep_percent, confidence_from
        self.transfer_momentum = transfer_momentum
        modules = dict(self.decode_head.named_children())
        self.classifier = [name for name in _CLASSIFIER if name in modules] if classifier is None else list(classifier)
        for name in self.classifier:
            if name not in modules:
                raise ValueError(
                    f"model.classifier={self.classifier!r}: model.decode_head.type={type(self.decode_head).__name__!r} "
                    f"has no module {name!r}; it has {', '.join(modules)}."
                )
            if share_classifier:
                setattr(self.second.decode_head, name, modules[name])
        self.transfers = _Transfers()

    @property
    def needs(self) -> Needs:
        """A teacher that labels."""
        return replace(super().needs, labels_from="ema", teacher_in_train=self.confidence_from == "mixed")

    def joint_pass(
        self,
        inputs: dict[str, Tensor],
        data_samples: SamplesByPart,
        images: Tensor,
        pseudo: PseudoLabel | None,
        step: Step,
    ) -> JointPass:
        """Transfer what the assistant has learned, then pass both networks."""
        if step.unsup_scale > 0:
            self.transfer()
        return super().joint_pass(inputs, data_samples, images, pseudo, step)

    @torch.no_grad()
    def transfer(self) -> None:
        """Move the student's feature extractor towards the assistant's; the first time make the assistant a copy.

        This changes weights in the forward pass: ``NonFiniteHook(policy='skip')`` does not undo it.
        """
        begins, share = self.transfers.count == 0, self.transfers.share(self.transfer_momentum)
        fixed = tuple(f"decode_head.{name}." for name in self.classifier)
        student = dict(self.named_parameters())
        for name, assistant in self.second.named_parameters():
            own = student[name]
            if assistant is own:
                continue
            assistant.lerp_(own, begins.to(own.dtype))  # without asking the device whether
            if not name.startswith(fixed):
                own.lerp_(assistant, share.to(own.dtype))
        self.transfers.count += 1

    @torch.no_grad()
    def find_confidence(self, joint: JointPass) -> Tensor:
        """Probability (B_u, H, W) of the teacher's likeliest class."""
        logits = joint.pseudo.logits
        if self.confidence_from == "mixed":
            images = torch.cat([joint.inputs["labeled"], joint.images])
            logits = mean_prediction(pass_teachers(self, joint.step, images, only_logits=True))
            logits = self.upsample(logits[joint.num_labeled :], joint.images.shape[2:])
        return max_probability(logits)

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Loss of the assistant on the mixed images, and the share of the pixels that it learns."""
        logits = self.upsample_second(joint.aux[1].logits[joint.num_labeled :], joint.images.shape[2:])
        loss, learned = self.assistant_loss(logits, joint.pseudo, self.find_confidence(joint))
        return {
            "unsup.second.loss_ce": loss * (self.unsup_weight * joint.step.unsup_scale),
            "unsup.learned_share": learned.float().mean(),
        }

    def assistant_loss(self, logits: Tensor, pseudo: PseudoLabel, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of the most confident pixels, weighted by 1 + confidence.

        Args:
            logits: (B_u, K, H, W) of the assistant.
            pseudo: Labels; pixels of weight 0 are not learned.
            confidence: (B_u, H, W) in [0, 1].

        Returns:
            Scalar, 0 where all pixels are equally confident, and (B_u, H, W) bool, which pixels are learned.
        """
        with torch.no_grad():
            valid = torch.ones_like(pseudo.label, dtype=torch.bool) if pseudo.valid is None else pseudo.valid
            usable = valid & (pseudo.weight > 0)
            dropped = 1.0 - self.keep_percent / 100.0
            learned = usable & (confidence > masked_quantiles(confidence, usable, (dropped,)))
            weight = torch.where(usable & ~learned, 1.0, 1.0 + confidence) * valid
        pixel_loss = pseudo.pixel_loss(logits, self.pseudo_loss) * pseudo.weight
        return (pixel_loss * weight * learned).sum() / weight.sum().clamp(min=1.0), learned


class _Transfers(nn.Module):
    """Counts the steps with unlabeled losses, which a resumed training goes on with; the first has no transfer."""

    training_only = True

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def share(self, least: float) -> Tensor:
        """Share of the assistant in the next transfer."""
        return (1.0 / self.count.clamp(min=1)).clamp(min=least)
