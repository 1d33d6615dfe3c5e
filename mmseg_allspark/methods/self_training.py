"""Training of ST++ on labels that an earlier model made (Yang et al., CVPR 2022, arXiv 2106.05095).

Legend: B_l labeled and B_u unlabeled images, (H, W) image size in pixels.
"""

from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.checks import LossWeight, check_types

from .joint_pass import JointPass, scale_losses, stack_masks
from .semi_segmentor import SemiSegmentor


@MODELS.register_module()
class SelfTrainingSegmentor(SemiSegmentor):
    """One cross-entropy over the pixels of labeled and pseudo-labeled images together (ST++, section 3.1).

    The labels usually come from files: ``train_cfg.pseudo_labels_from='data'``, ``LoadPseudoLabel`` in the unlabeled
    pipeline. ``tools/self_training.py`` makes the files and trains. Every pixel counts alike, whether a person or a
    model labeled it, so an image contributes by the number of its pixels that have a label. The head's loss has to be a
    mean over these pixels (``avg_non_ignore=True``).

    Args:
        sup_weight: Factor of the labeled pixels. Default 1.0.
        unsup_weight: Factor of the pseudo-labeled pixels. Default 1.0.
        **kwargs: Those of :class:`SemiSegmentor`.

    Raises:
        ValueError: If a loss of the head has ``avg_non_ignore=False``.
    """

    @check_types
    def __init__(self, *, sup_weight: LossWeight = 1.0, unsup_weight: LossWeight = 1.0, **kwargs) -> None:  # noqa: ANN003
        super().__init__(sup_weight=sup_weight, unsup_weight=unsup_weight, **kwargs)
        loss = self.decode_head.loss_decode
        for part in loss if isinstance(loss, nn.ModuleList) else [loss]:
            if not getattr(part, "avg_non_ignore", True):
                raise ValueError(
                    f"model.decode_head.loss_decode of type {type(part).__name__!r} counts ignored pixels in its mean, "
                    "and SelfTrainingSegmentor weights by labeled pixels: set avg_non_ignore=True."
                )

    def sup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses of the labeled images, times their share of the batch's pixels."""
        losses = super().sup_losses(joint)
        if joint.pseudo is None:
            return losses
        return scale_losses(losses, self._labeled_share(joint))

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses of the pseudo-labeled images, times their share of the batch's pixels."""
        share = 1.0 - self._labeled_share(joint)
        return {name: value * share for name, value in super().unsup_losses(joint).items()}

    def _labeled_share(self, joint: JointPass) -> Tensor:
        """Labeled pixels among all that have a label, a number in [0, 1]."""
        labeled = (stack_masks(joint.data_samples["labeled"]) != self.decode_head.ignore_index).sum()
        valid = joint.pseudo.valid
        unlabeled = joint.pseudo.label.numel() if valid is None else valid.sum()
        return labeled / (labeled + unlabeled).clamp(min=1)
