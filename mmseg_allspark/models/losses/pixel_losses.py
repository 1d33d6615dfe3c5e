"""Losses of each pixel against a target distribution, not yet averaged: the method weights and masks the pixels."""

from typing import Annotated

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.checks import Between, LossWeight, Share, check_types


@MODELS.register_module()
class SigmoidFocalLoss(nn.Module):
    """Focal loss of K independent binary problems, background included, against the target's likeliest class.

    With p = sigmoid(logit), y = 1 for the target's class and q = (1 - p) y + p (1 - y) it is the mean over the
    classes of (alpha y + (1 - alpha)(1 - y)) q^gamma BCE(p, y). Computed in float32 and from log q, so that value
    and gradient stay finite for any finite logit; logits of 0 give 10 ln 2 / 2 / sqrt 2 = 2.4506 by default.

    Args:
        gamma: Exponent of the focus. Default 0.5, as GuidedMix-Net's release.
        alpha: Share of the target's class, in [0, 1]. Default 0.5.
        loss_weight: Default 10.
    """

    @check_types
    def __init__(
        self, gamma: Annotated[float, Between(0.0)] = 0.5, alpha: Share = 0.5, loss_weight: LossWeight = 10.0
    ) -> None:
        super().__init__()
        self.gamma, self.alpha, self.loss_weight = gamma, alpha, loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of each pixel.

        Args:
            logits: (B, K, h, w).
            target: Probabilities (B, K, h, w).

        Returns:
            (B, h, w) float32.
        """
        with torch.autocast(device_type=logits.device.type, enabled=False):
            own = F.one_hot(target.argmax(dim=1), logits.shape[1]).movedim(-1, 1).bool()
            signed = torch.where(own, logits.float(), -logits.float())
            # q = sigmoid(-signed): log q = -softplus(signed), BCE = -log(1 - q) = softplus(-signed)
            focus = (-self.gamma * F.softplus(signed)).exp()
            share = torch.where(own, self.alpha, 1.0 - self.alpha)
            return self.loss_weight * (share * focus * F.softplus(-signed)).mean(dim=1)
