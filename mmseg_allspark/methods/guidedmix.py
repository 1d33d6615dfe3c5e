"""GuidedMix-Net (Tu et al., AAAI 2022, arXiv 2112.14015): labeled images guide the unlabeled ones mixed with them."""

from dataclasses import replace
from typing import Annotated

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.labels import PseudoLabel, masked_mean
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.models import SplitHead
from mmseg_allspark.utils.checks import Between, check_has_type, check_types


@MODELS.register_module()
class GuidedMixSegmentor(SemiSegmentor):
    """Learn from mixtures of a labeled and an unlabeled image, less the labeled share of the prediction.

    As in the released code: with lambda ~ U(0, lambda_factor), the mixture's logits are Z_m = tail(lambda A_l +
    (1 - lambda) A_u), where A is what the trunk of the decode head gives and the tail is one of its own, and
    D_u = Z_m - lambda Z_l is to give the class that the plain prediction Z_u gives. The head runs over labeled and
    unlabeled images apart, each with its own statistics of batch norm. There are as many labeled as unlabeled images in
    a step, paired at random. lambda and the pairs are each rank's own (the release draws the same lambda on all).

    The paper describes the reverse, a pseudo mask from the mixture that teaches the plain prediction. Its formulas
    could not be read, so it is not built.

    Args:
        lambda_factor: Upper limit of lambda, in (0, 0.5]. Default 0.5.
        unsup_loss: A loss of pixels against a distribution: ``SigmoidFocalLoss`` (default) or one of your own.
        sup_weight: Default 1.
        unsup_weight: Default 1; the weight 10 is in the focal loss.
        **kwargs: Those of :class:`SemiSegmentor`, without ``cutmix`` and ``pseudo_loss``; ``confidence`` is of the
            target.

    Raises:
        TypeError: If the decode head has not two parts.
        ValueError: On options that contradict each other.
    """

    @check_types
    def __init__(
        self,
        *,
        lambda_factor: Annotated[float, Between(1e-6, 0.5)] = 0.5,
        unsup_loss: dict = dict(type="SigmoidFocalLoss"),  # noqa: B006 (never changed)
        sup_weight: float = 1.0,
        unsup_weight: float = 1.0,
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(sup_weight=sup_weight, unsup_weight=unsup_weight, **kwargs)
        if self.cutmix is not None:
            raise ValueError("model.cutmix: GuidedMixSegmentor mixes images its own way; set cutmix=None.")
        if self.pseudo_loss is not None:
            raise ValueError("model.pseudo_loss: GuidedMixSegmentor learns by model.unsup_loss; set pseudo_loss=None.")
        check_has_type("model.unsup_loss", unsup_loss)
        if not isinstance(self.decode_head, SplitHead):
            raise TypeError(
                f"model.decode_head.type={type(self.decode_head).__name__!r} is not in two parts to mix between: "
                "use SplitASPPHead, DeepLabV3PlusHead or SegformerMLPHead."
            )
        self.lambda_factor = lambda_factor
        self.unsup_loss = MODELS.build(unsup_loss)
        self.decode_head_mix = self.decode_head.build_tail()

    @property
    def needs(self) -> Needs:
        """A labeled image for every unlabeled one; the mixture's tail learns from both from the first step."""
        return replace(
            super().needs,
            equal_batches=True,
            unlabeled_in_burn_in=True,
            labels_from=None if self.steers_neck else "model",
            label_source=" for the neck; the losses use the step's own",
        )

    def label(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step) -> PseudoLabel | None:
        """Labels for the neck where it takes some; those of the losses come out of the joint pass."""
        return super().label(inputs, data_samples, step) if self.steers_neck else None

    def decode_joint(self, feats: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits and trunk of both halves, each half by itself as in the release."""
        halves = zip(*(level.chunk(2) for level in feats), strict=True)
        hidden = [self.decode_head.trunk(half) for half in halves]
        return torch.cat([self.decode_head.tail(half) for half in hidden]), torch.cat(hidden)

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Loss of the mixtures, less their labeled share, at the resolution of the logits (B, K, h, w)."""
        # on the CPU, and of torch's generator, which the loop seeds every step
        share = torch.empty(()).uniform_(0.0, self.lambda_factor).item()
        order = torch.randperm(joint.num_labeled, device=joint.logits.device)  # of the unlabeled images
        labeled, unlabeled = joint.aux.chunk(2)
        mixed = self.decode_head_mix(share * labeled + (1.0 - share) * unlabeled[order])
        pseudo = joint.step.record["pseudo"] = self._plain_labels(joint)
        loss = self.unsup_loss(mixed - share * joint.labeled_logits, pseudo.logits[order].float().softmax(dim=1))
        weight, valid = pseudo.weight[order], None if pseudo.valid is None else pseudo.valid[order]
        scale = self.unsup_weight * joint.step.unsup_scale
        return {"unsup.decode.loss_decoupled": masked_mean(loss * weight, valid) * scale}

    @torch.no_grad()
    def _plain_labels(self, joint: JointPass) -> PseudoLabel:
        """Labels and weights (B, h, w) by the plain prediction; with ``mask_padding`` padding is marked."""
        valid = self.valid_pixels(joint.data_samples["unlabeled"])
        if valid is not None:  # at the middle of each cell, as bilinear logits are
            size = joint.logits.shape[2:]
            valid = F.interpolate(valid[:, None].float(), size=size, mode="nearest-exact")[:, 0].bool()
        logits = joint.unlabeled_logits.detach()
        if joint.pseudo is None:
            self.observe(joint.data_samples["labeled"], logits, valid)
        return self.make_pseudo_label(logits, valid)
