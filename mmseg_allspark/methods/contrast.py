"""What methods share that compare projected features with a memory (U2PL, DGCL, ESL)."""

from dataclasses import replace

from torch import Tensor

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs
from mmseg_allspark.models import decode_with_trunk


class ContrastSegmentor(SemiSegmentor):
    """A base for methods whose teacher labels, with or without a contrast.

    A child that contrasts sets both after ``super().__init__()``; else they stay None:

    - ``memory``, a module, with what the child's own losses call: the base asks only whether there is one.
    - ``projector``, a module that maps (B, C, h, w) to (B, D, h, w). C is :func:`trunk_width` of the decode head. A
      child that projects something else overrides :meth:`decode_joint`.
    """

    def __init__(self, **kwargs) -> None:  # noqa: ANN003
        super().__init__(**kwargs)
        self.memory = self.projector = None

    @property
    def needs(self) -> Needs:
        """A teacher that labels; a projection learns from unlabeled losses alone."""
        needs = super().needs
        in_burn_in = needs.unlabeled_in_burn_in or self.memory is not None
        return replace(needs, labels_from="ema", unlabeled_in_burn_in=in_burn_in)

    def decode_joint(self, feats: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Logits and, with the contrast, projected features (B, D, h, w) of what the head has before it classifies."""
        if self.memory is None:
            return super().decode_joint(feats)
        logits, hidden = decode_with_trunk(self.decode_head, feats)
        return logits, self.projector(hidden)

    def learned_loss(self, logits: Tensor, pseudo: PseudoLabel, learned: Tensor) -> Tensor:
        """Mean loss over the learned pixels, divided by their share of all pixels; 0 where none is learned.

        This is the unlabeled loss of U2PL's, SemiCVT's and DGCL's releases, which keep a share that is set. A
        threshold, which may leave any share, weighs the pixels instead, so that the loss falls with those it leaves.

        Args:
            logits: (B_u, K, h, w) of the student.
            pseudo: Labels (B_u, H, W).
            learned: (B_u, H, W) bool, False on padding, which counts among all pixels.
        """
        loss = pseudo.pixel_loss(self.upsample(logits, learned.shape[1:]), self.pseudo_loss) * pseudo.weight
        total = learned.sum().clamp(min=1)
        return (loss * learned).sum() / total * (learned.numel() / total)
