"""What methods share that compare projected features with a memory (U2PL, DGCL, ESL)."""

from dataclasses import replace

from torch import Tensor

from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs
from mmseg_allspark.models import decode_with_trunk


class ContrastSegmentor(SemiSegmentor):
    """A base for methods whose teacher labels; a child builds ``memory`` and ``projector``, or leaves them None."""

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
