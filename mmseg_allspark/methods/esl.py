"""ESL (Enhanced Soft Label, Ma et al., ICCV 2023): every unlabeled pixel learns from a dynamic soft label."""

from dataclasses import replace

from mmseg.registry import MODELS

from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs
from mmseg_allspark.utils.checks import LossWeight, check_types


@MODELS.register_module()
class ESLSegmentor(SemiSegmentor):
    """A student that learns the teacher's dominant classes on mixed images, without a confidence threshold.

    L = sup_weight * L_s + unsup_weight * L_u, where L_u is the cross-entropy against the soft labels of
    :class:`DynamicSoftLabelLoss`, mean over all pixels. Needs ``MeanTeacherHook`` and
    ``train_cfg.pseudo_labels_from='ema'``. No code was released; this follows the paper's text.

    Args:
        sup_weight: Default 1.
        unsup_weight: Default 0.2.
        cutmix: Default half of the area of every image: ``dict(prob=1.0, area=(0.5, 0.5), aspect=(0.5, 2.0))``. The
            paper says CutMix and no more.
        mask_padding: Default True.
        pseudo_loss: Default ``dict(type='DynamicSoftLabelLoss', mass=0.95)``.
        **kwargs: Those of :class:`SemiSegmentor`.
    """

    @check_types
    def __init__(
        self,
        *,
        sup_weight: LossWeight = 1.0,
        unsup_weight: LossWeight = 0.2,
        cutmix: dict | None = dict(prob=1.0, area=(0.5, 0.5), aspect=(0.5, 2.0)),  # noqa: B006 (never changed)
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

    @property
    def needs(self) -> Needs:
        """A teacher that labels."""
        return replace(super().needs, labels_from="ema")
