"""Mean Teacher with CutMix (CutMix-Seg: French et al., BMVC 2020, arXiv 1906.01916)."""

from dataclasses import replace
from typing import Literal

from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.methods.joint_pass import JointPass
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs
from mmseg_allspark.utils.checks import check_types


@MODELS.register_module()
class MeanTeacherSegmentor(SemiSegmentor):
    """A student that has to give on mixed images what its moving average gives on the images before.

    Needs ``MeanTeacherHook`` and ``train_cfg.pseudo_labels_from='ema'``. L = sup_weight * L_s +
    unsup_weight * mean over pixels of (weight * consistency); the weight is the share of the batch's pixels that the
    teacher is sure of.

    Args:
        consistency: ``'mse'``: squared difference of the probabilities, summed over the classes (section 3.1, the
            release's 'var'). ``'ce'``: cross-entropy against the teacher's class. Default ``'mse'``.
        sup_weight: Default 1.
        unsup_weight: Default 1.
        confidence: Default ``dict(type='ConfidenceThreshold', threshold=0.97, per='batch')``.
        cutmix: Default half of the area of every image, of any aspect: ``dict(prob=1.0, area=(0.5, 0.5),
            aspect=(0.5, 2.0))``.
        mask_padding: Default True.
        **kwargs: Those of :class:`SemiSegmentor`; ``pseudo_loss`` only with ``'ce'``.

    Raises:
        ValueError: On ``pseudo_loss`` with ``'mse'``.
    """

    @check_types
    def __init__(
        self,
        *,
        consistency: Literal["mse", "ce"] = "mse",
        sup_weight: float = 1.0,
        unsup_weight: float = 1.0,
        confidence: dict | None = dict(type="ConfidenceThreshold", threshold=0.97, per="batch"),  # noqa: B006
        cutmix: dict | None = dict(prob=1.0, area=(0.5, 0.5), aspect=(0.5, 2.0)),  # noqa: B006
        mask_padding: bool = True,
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(
            sup_weight=sup_weight,
            unsup_weight=unsup_weight,
            confidence=confidence,
            cutmix=cutmix,
            mask_padding=mask_padding,
            **kwargs,
        )
        if self.pseudo_loss is not None and consistency == "mse":
            raise ValueError("model.pseudo_loss needs model.consistency='ce'; 'mse' has no loss to replace.")
        self.consistency = consistency

    @property
    def needs(self) -> Needs:
        """A teacher that labels."""
        return replace(super().needs, labels_from="ema")

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Consistency of the student's logits (B_u, K, h, w) on mixed images with the teacher's, mixed alike."""
        if self.consistency == "ce":
            return super().unsup_losses(joint)
        pseudo = joint.pseudo
        student = self.upsample(joint.unlabeled_logits, pseudo.label.shape[1:]).float().softmax(dim=1)
        difference = student - pseudo.logits.float().softmax(dim=1)
        loss = pseudo.mean_loss(difference.square().sum(dim=1))
        return {"unsup.decode.loss_consistency": loss * (self.unsup_weight * joint.step.unsup_scale)}
