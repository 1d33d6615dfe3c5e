"""Online hard example mining that works inside mmseg's heads."""

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.checks import PositiveInt, Share, check_types


@MODELS.register_module()
class OhemLoss(nn.Module):
    """Cross-entropy over the hard pixels of a batch, with the rule of AllSpark's Cityscapes setting.

    A pixel is kept when the probability of its label is at most the larger of ``thresh`` and the
    ``min_kept``-th smallest such probability; with fewer than ``min_kept`` labeled pixels all are kept. mmseg's
    own ``OhemCrossEntropy`` uses a slightly different rule and raises inside a head, because heads pass
    ``weight`` and ``ignore_index``.

    Args:
        thresh: Probability of the label below which a pixel is hard, in [0, 1]. Default 0.7.
        min_kept: At least this many pixels of the batch on this rank are kept. Default 200000.
        loss_weight: Default 1.0.
        loss_name: Key in the log; must start with ``loss_``. Default ``'loss_ohem'``.
    """

    @check_types
    def __init__(
        self,
        thresh: Share = 0.7,
        min_kept: PositiveInt = 200_000,
        loss_weight: float = 1.0,
        loss_name: str = "loss_ohem",
    ) -> None:
        super().__init__()
        self.thresh, self.min_kept, self.loss_weight = thresh, min_kept, loss_weight
        self.loss_name = loss_name

    def forward(self, score: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = 255) -> Tensor:
        """Mean cross-entropy of the hard pixels.

        Args:
            score: Logits (B, K, H, W).
            target: Labels (B, H, W) int64.
            weight: Must be None: a pixel sampler and this loss would select twice.
            ignore_index: Label not counted. Default 255.

        Returns:
            Scalar; 0 with a (zero) gradient where every pixel is ignored.

        Raises:
            ValueError: If ``weight`` is given.
        """
        if weight is not None:
            raise ValueError("OhemLoss selects pixels itself: remove decode_head.sampler from the config.")
        pixel_loss = F.cross_entropy(score, target, ignore_index=ignore_index, reduction="none").flatten()
        valid = target.flatten() != ignore_index
        with torch.no_grad():
            # exp(-loss) is the probability of the label: no second softmax. Ignored pixels count as easy.
            probability = torch.where(valid, (-pixel_loss).exp(), 1.0)
            kth = min(self.min_kept, probability.numel())
            threshold = probability.kthvalue(kth).values.clamp(min=self.thresh)
            hard = valid & ((probability <= threshold) | (valid.sum() < self.min_kept))
        loss = (pixel_loss * hard).sum() / hard.sum().clamp(min=1)
        return self.loss_weight * loss
