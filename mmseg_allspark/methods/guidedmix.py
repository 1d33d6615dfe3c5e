"""GuidedMix-Net (Tu et al., AAAI 2022, arXiv 2112.14015): labeled images guide the unlabeled ones mixed with them."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.methods.joint_pass import JointPass
from mmseg_allspark.methods.pseudo_label import PseudoLabel
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.models import HeadTail, MITrans, SplitHead
from mmseg_allspark.utils.checks import check_choice, check_has_type, check_loss_weight, check_range, check_types

LEVELS = ("feature", "image")
PAIRINGS = ("random", "similar")
MIX_HEADS = ("separate", "shared")
DECOUPLINGS = ("soft", "hard")
DIRECTIONS = ("mixed_student", "mixed_teacher")


class Mixture(NamedTuple):
    """What was mixed with what, and what the model says to it.

    Attributes:
        share: lambda, the labeled image's share, in (0, 1/2).
        labeled: (B,) index of each mixture's labeled image.
        unlabeled: (B,) index of its unlabeled image.
        logits: (B, K, h, w) of the mixtures.
    """

    share: float
    labeled: Tensor
    unlabeled: Tensor
    logits: Tensor


@MODELS.register_module()
class GuidedMixSegmentor(SemiSegmentor):
    """Learn from mixtures of a labeled and an unlabeled image, less the labeled share of the prediction.

    With lambda ~ U(0, lambda_factor), the mixture's logits are Z_m = tail(lambda A_l + (1 - lambda) A_u), where A is
    what the trunk of the decode head gives. The defaults are the released code: D_u = Z_m - lambda Z_l is to give the
    class that the plain prediction Z_u gives. The head runs over labeled and unlabeled images apart, each with its own
    statistics of batch norm. There are as many labeled as unlabeled images in a step. lambda and the pairs are each
    rank's own (the release draws the same lambda on all).

    The paper describes the reverse: a pseudo mask from the mixture teaches the plain prediction
    (``direction='mixed_teacher'``). Its formulas could not be read; those here are **our reconstruction**.

    Args:
        mix_level: ``'feature'``: the trunk's output is mixed; ``'image'``: the images, which costs one more pass.
        pairing: ``'random'``: a permutation; ``'similar'``: each unlabeled image gets the labeled image of the batch
            whose mean deepest feature has the smallest angle to its own; labeled images may repeat.
        lambda_factor: Upper limit of lambda, in (0, 0.5]. Default 0.5.
        mitrans: Arguments of :class:`MITrans` between mixing and the mixture's tail, e.g. ``dict(channels=512)``.
            Default None, none.
        mix_head: ``'separate'``: the mixture has a tail of its own; ``'shared'``: the head's. Default ``'separate'``.
        decouple: How the labeled share is taken out. ``'soft'``: subtracted. ``'hard'``, with ``'mixed_teacher'``:
            where the mixture's class is that of the labeled mask, the pixel counts only if the plain prediction agrees.
        direction: ``'mixed_student'``: the plain prediction teaches the decoupled mixture; ``'mixed_teacher'``: the
            other way round. Default ``'mixed_student'``.
        with_labeled_decouple: Add lambda times the loss of D_l = Z_m - (1 - lambda) Z_u against Z_l's class. Default
            False (the release computes and drops it).
        mixed_weight: With ``'mixed_teacher'``, weight of the mixture's own loss, lambda CE(Z_m, y_l) + (1 - lambda)
            CE(Z_m, class of Z_u): the detached mask would leave the mixture's weights untrained. Default 0.
        unsup_loss: A loss of pixels against a distribution: ``SigmoidFocalLoss`` (default), ``PixelCrossEntropyLoss``,
            ``PixelMSELoss``.
        conf_thresh: Pixels whose target is less sure do not count, in [0, 1]. Default 0, all count. Short for
            ``confidence=dict(type='ConfidenceThreshold', threshold=...)``.
        confidence: As in :class:`SemiSegmentor`, of the target. Default None.
        sup_weight: Default 1.
        unsup_weight: Default 1; the weight 10 is in the focal loss.
        **kwargs: Those of :class:`SemiSegmentor`, without ``cutmix``.

    Raises:
        TypeError: If the decode head has not two parts.
        ValueError: On options that contradict each other.
    """

    equal_batches = True
    label_note = " (for log, pictures and neck: the losses use predictions of the step itself)"

    @check_types
    def __init__(
        self,
        *,
        mix_level: str = "feature",
        pairing: str = "random",
        lambda_factor: float = 0.5,
        mitrans: dict | None = None,
        mix_head: str = "separate",
        decouple: str = "soft",
        direction: str = "mixed_student",
        with_labeled_decouple: bool = False,
        mixed_weight: float = 0.0,
        unsup_loss: dict = dict(type="SigmoidFocalLoss"),  # noqa: B006 (never changed)
        conf_thresh: float = 0.0,
        confidence: dict | None = None,
        sup_weight: float = 1.0,
        unsup_weight: float = 1.0,
        **kwargs,  # noqa: ANN003
    ) -> None:
        for name, value, choices in (
            ("mix_level", mix_level, LEVELS), ("pairing", pairing, PAIRINGS), ("mix_head", mix_head, MIX_HEADS),
            ("decouple", decouple, DECOUPLINGS), ("direction", direction, DIRECTIONS),
        ):  # fmt: skip
            check_choice(f"model.{name}", value, choices)
        check_range("model.lambda_factor", lambda_factor, 1e-6, 0.5)
        check_loss_weight("model.mixed_weight", mixed_weight)
        super().__init__(
            sup_weight=sup_weight,
            unsup_weight=unsup_weight,
            confidence=_one_confidence(conf_thresh, confidence),
            **kwargs,
        )
        if self.cutmix is not None:
            raise ValueError("model.cutmix: GuidedMixSegmentor mixes images its own way; set cutmix=None.")
        check_has_type("model.unsup_loss", unsup_loss)
        self.mix_level, self.pairing, self.lambda_factor = mix_level, pairing, lambda_factor
        self.decouple, self.direction, self.mixed_weight = decouple, direction, mixed_weight
        self.with_labeled_decouple = with_labeled_decouple
        self.unsup_loss = MODELS.build(unsup_loss)
        self.mitrans, self.decode_head_mix = self._build_mixed_branch(mitrans, mix_head == "separate")
        self._check_options()

    def _build_mixed_branch(self, mitrans: dict | None, separate: bool) -> tuple[MITrans | None, HeadTail | None]:
        """What only the mixture passes; nothing of the head's trunk, so that every weight gets a gradient."""
        head = self.decode_head
        if not isinstance(head, SplitHead):
            raise TypeError(
                f"model.decode_head.type={type(head).__name__!r} is not in two parts to mix between: "
                "use SplitASPPHead, DeepLabV3PlusHead or SegformerMLPHead."
            )
        channels, module = head.trunk_channels, None
        if mitrans is not None:
            module = MODELS.build(dict(type="MITrans", in_channels=channels) | dict(mitrans))
            channels = module.out_channels
        if separate:
            return module, head.build_tail(channels)
        if channels != head.trunk_channels:
            raise ValueError(
                f"model.mitrans.channels={channels}, but model.mix_head='shared' takes {head.trunk_channels}: set "
                "mix_head='separate', or leave channels out."
            )
        return module, None

    def _check_options(self) -> None:
        """Raise on options that contradict each other."""
        if self.direction == "mixed_student":
            wrong = dict(decouple=self.decouple == "hard", mixed_weight=self.mixed_weight > 0)
            remedy = "mixed_teacher"
        else:
            wrong, remedy = dict(with_labeled_decouple=self.with_labeled_decouple), "mixed_student"
        for name in (name for name, is_wrong in wrong.items() if is_wrong):
            raise ValueError(
                f"model.{name}={getattr(self, name)!r} means nothing with model.direction={self.direction!r}; leave it "
                f"out, or set direction={remedy!r}."
            )
        untrained = self.mitrans is not None or self.decode_head_mix is not None
        if self.direction == "mixed_teacher" and untrained and self.mixed_weight == 0:
            raise ValueError(
                "model.direction='mixed_teacher' with mixed_weight=0 trains neither model.mitrans nor a tail of "
                "mix_head='separate': set mixed_weight, or mix_head='shared' and mitrans=None."
            )

    def _check_inputs(self, inputs: dict[str, Tensor]) -> None:
        super()._check_inputs(inputs)
        labeled, unlabeled = len(inputs["labeled"]), len(inputs[self.unlabeled_view])
        if labeled != unlabeled:
            raise ValueError(
                f"{labeled} labeled and {unlabeled} unlabeled images: GuidedMix-Net mixes one of each. Give "
                "train_dataloader and unlabeled_dataloader one batch_size, and unlabeled_dataloader drop_last=True."
            )

    @property
    def needs_unlabeled_in_burn_in(self) -> bool:
        """With modules that only the mixtures train."""
        return super().needs_unlabeled_in_burn_in or self.mitrans is not None or self.decode_head_mix is not None

    def decode_joint(self, feats: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits and trunk of both halves, each half by itself as in the release."""
        halves = zip(*(level.chunk(2) for level in feats), strict=True)
        hidden = [self.decode_head.trunk(half) for half in halves]
        return torch.cat([self.decode_head.tail(half) for half in hidden]), torch.cat(hidden)

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses of the mixtures, at the resolution of the logits (B, K, h, w)."""
        mixture = self._mix(joint)
        if self.direction == "mixed_student":
            losses = self._student_losses(joint, mixture)
        else:
            losses = self._teacher_losses(joint, mixture)
        scale = self.unsup_weight * joint.unsup_scale
        return {f"unsup.decode.{name}": loss * scale for name, loss in losses.items()}

    def _mix(self, joint: JointPass) -> Mixture:
        """Draw share and pairs, and decode the mixtures."""
        # on the CPU, and of torch's generator, which the loop seeds every step
        share = torch.empty(()).uniform_(0.0, self.lambda_factor).item()
        labeled, unlabeled = self._pairs(joint)
        if self.mix_level == "feature":
            halves = joint.hidden.chunk(2)
        else:
            halves = joint.inputs["labeled"], joint.inputs[self.unlabeled_view]
        mixed = share * halves[0][labeled] + (1.0 - share) * halves[1][unlabeled]
        if self.mix_level == "image":
            mixed = self.decode_head.trunk(self.extract_feat(mixed, num_labeled=0))
        if self.mitrans is not None:
            mixed = self.mitrans(mixed)
        tail = self.decode_head.tail if self.decode_head_mix is None else self.decode_head_mix
        return Mixture(share, labeled, unlabeled, tail(mixed))

    @torch.no_grad()
    def _pairs(self, joint: JointPass) -> tuple[Tensor, Tensor]:
        """Indices (B,) of the labeled and of the unlabeled image of each mixture."""
        count, device = joint.num_labeled, joint.logits.device
        order = torch.arange(count, device=device)
        if self.pairing == "random":
            return order, torch.randperm(count, device=device)
        labeled, unlabeled = (
            F.normalize(level.float().mean(dim=(2, 3)), dim=1)
            for level in (joint.labeled_feats[-1], joint.unlabeled_feats[-1])
        )
        return (unlabeled @ labeled.t()).argmax(dim=1), order  # of equals the first

    def _student_losses(self, joint: JointPass, mixture: Mixture) -> dict[str, Tensor]:
        """As released: the decoupled mixture is to give what the plain prediction gives."""
        labeled = joint.labeled_logits[mixture.labeled]
        unlabeled = joint.unlabeled_logits[mixture.unlabeled]
        pseudo = self._pseudo(joint, mixture, unlabeled.detach())
        target = pseudo.logits.float().softmax(dim=1)
        left = mixture.logits - mixture.share * labeled
        losses = dict(loss_decoupled=pseudo.mean_loss(self.unsup_loss(left, target)))
        if self.with_labeled_decouple:
            left = mixture.logits - (1.0 - mixture.share) * unlabeled
            loss = self.unsup_loss(left, labeled.detach().float().softmax(dim=1)).mean()
            losses["loss_decoupled_labeled"] = mixture.share * loss
        return losses

    def _teacher_losses(self, joint: JointPass, mixture: Mixture) -> dict[str, Tensor]:
        """Our reconstruction of the papers: a mask from the mixture teaches the plain prediction."""
        plain, size = joint.unlabeled_logits[mixture.unlabeled], joint.logits.shape[2:]
        samples = [sample.gt_sem_seg.data for sample in joint.data_samples["labeled"]]
        truth = _nearest(torch.stack(samples), size)[mixture.labeled].long()
        pseudo, target = self._masks(joint, mixture, plain.detach(), truth)
        losses = dict(loss_consistency=pseudo.mean_loss(self.unsup_loss(plain, target)))
        if self.mixed_weight > 0:
            ignore = self.decode_head.ignore_index
            of_truth = F.cross_entropy(mixture.logits, truth, ignore_index=ignore, reduction="none").mean()
            own = self._pseudo(joint, mixture, plain.detach())
            of_plain = own.mean_loss(F.cross_entropy(mixture.logits, own.label, reduction="none"))
            mean = mixture.share * of_truth + (1.0 - mixture.share) * of_plain
            losses["loss_mixed"] = self.mixed_weight * mean
        return losses

    @torch.no_grad()
    def _masks(self, joint: JointPass, mixture: Mixture, plain: Tensor, truth: Tensor) -> tuple[PseudoLabel, Tensor]:
        """Pseudo masks of the unlabeled images, and as probabilities (B, K, h, w)."""
        mixed = mixture.logits.float()
        if self.decouple == "soft":
            share = mixture.share
            labeled = joint.labeled_logits[mixture.labeled].float().softmax(dim=1)
            left = mixed.softmax(dim=1) - share * labeled
            # what is left sums to 1 - share, so something is above 0; the softmax of the logarithm renormalises
            pseudo = self._pseudo(joint, mixture, left.clamp(min=1e-12).log())
            return pseudo, pseudo.logits.softmax(dim=1)
        pseudo = self._pseudo(joint, mixture, mixed)
        agreed = (pseudo.label != truth) | (pseudo.label == plain.argmax(dim=1))
        target = F.one_hot(pseudo.label, self.num_classes).movedim(-1, 1).float()
        return PseudoLabel(pseudo.logits, pseudo.label, pseudo.weight * agreed, pseudo.valid), target

    @torch.no_grad()
    def _pseudo(self, joint: JointPass, mixture: Mixture, logits: Tensor) -> PseudoLabel:
        """Labels and weights of logits (B, K, h, w); with ``mask_padding`` the unlabeled image's padding is marked."""
        valid = joint.pseudo.valid
        if valid is not None:
            valid = _nearest(valid[:, None], logits.shape[2:])[mixture.unlabeled].bool()
        return self.make_pseudo_label(logits, valid)


def _nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, 1, H, W) labels at another size, (B, h, w): those at the middle of each cell, as bilinear logits are."""
    return F.interpolate(maps.float(), size=size, mode="nearest-exact")[:, 0]


def _one_confidence(threshold: float, confidence: dict | None) -> dict | None:
    """What ``conf_thresh`` and ``confidence`` say together."""
    check_range("model.conf_thresh", threshold, 0.0, 1.0)
    if threshold == 0.0:
        return confidence
    if confidence is not None:
        raise ValueError(f"model.conf_thresh={threshold} and model.confidence={dict(confidence)}: give one of them.")
    return dict(type="ConfidenceThreshold", threshold=threshold)
