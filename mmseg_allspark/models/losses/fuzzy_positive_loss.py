"""Fuzzy positive learning (FPL, CVPR 2023, arXiv 2210.08519): a set of plausible classes in place of a hard label."""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.checks import Between, PositiveInt, check_types


@MODELS.register_module()
class FuzzyPositiveLoss(nn.Module):
    """Loss of each pixel that ranks the classes which the label finds plausible above all others.

    The label's n likeliest classes P are the positives of a pixel; n is the smallest number for which the n + 1
    likeliest have a total probability of ``threshold`` or more, and at most ``max_positives``. With N the other classes
    and s the logits, loss = log(1 + sum over P of exp(-s_i) * sum over N of exp(s_j)), times a weight that is larger
    the better the label separates P from N. With n = 1 the loss is the cross-entropy of the likeliest class. Where
    labels are sure, n is 1 and the weight near 1: FPL is then plain cross-entropy. ``figures`` shows it.

    The loss keeps every pixel. A confidence threshold of ``threshold`` or more leaves only pixels with n = 1.

    Args:
        threshold: Total probability, in [0.1, 1]. Default 0.9.
        max_positives: Largest n. Default 3; with K classes at most K - 1.
        weight: With a the mean probability of the n + 1 likeliest classes and b that of the likeliest class of N:
            ``'none'``: 1. ``'linear'``: (a - b) / a. ``'convex'``: (a - b) / (a + b). ``'concave'``:
            log(1 + 50 (a - b)) / log(1 + 50 a). Default ``'concave'`` (release: Cityscapes; its script for VOC on CPS
            has no weight).
        balance: Multiply by mean(cross-entropy) / mean(loss) over all pixels of a call on this rank, a factor in
            [0.1, 10] without gradient, so that the value is that of cross-entropy and the gradient that of FPL. Default
            True.

    Attributes:
        figures: Scalars for the log about the latest call: share of pixels with 1, 2 and 3 or more positives, mean
            weight, factor of ``balance``.
    """

    @check_types
    def __init__(
        self,
        threshold: Annotated[float, Between(0.1, 1.0)] = 0.9,
        max_positives: PositiveInt = 3,
        weight: Literal["none", "linear", "convex", "concave"] = "concave",
        balance: bool = True,
    ) -> None:
        super().__init__()
        self.threshold, self.max_positives = threshold, max_positives
        self.weight, self.balance = weight, balance
        self.figures: dict[str, Tensor] = {}

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of each pixel.

        Args:
            logits: (B, K, H, W) of what learns.
            target: (B, K, H, W) logits of the label; they get no gradient.

        Returns:
            (B, H, W) float32, weighted and balanced.

        Raises:
            ValueError: If there is only one class.
        """
        if logits.shape[1] < 2:
            raise ValueError(f"FuzzyPositiveLoss needs 2 classes or more, but the logits have {logits.shape[1]}.")
        with torch.autocast(device_type=logits.device.type, enabled=False):
            logits, target = logits.float(), target.detach().float()
            classes, is_positive, weight = self.positives(target)
            own = logits.gather(1, classes).masked_fill(~is_positive, torch.inf)
            is_own = torch.zeros_like(logits, dtype=torch.bool).scatter(1, classes, is_positive)
            others = logits.masked_fill(is_own, -torch.inf).logsumexp(dim=1)
            loss = weight * F.softplus((-own).logsumexp(dim=1) + others)
            factor = self._factor(loss, logits, classes[:, 0]) if self.balance else torch.ones_like(loss.mean())
        self._describe(is_positive, weight, factor)
        return loss * factor

    @torch.no_grad()
    def positives(self, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Positives of logits (B, K, H, W) of the label.

        Args:
            target: Logits of the label, float32.

        Returns:
            The likeliest classes (B, M, H, W) int64, likeliest first, with M the largest number of positives; which of
            them are positives, (B, M, H, W) bool; the pixel's weight (B, H, W) in [0, 1].
        """
        most = min(self.max_positives, target.shape[1] - 1)
        probability, classes = target.softmax(dim=1).topk(most + 1, dim=1)
        total = probability.cumsum(dim=1)
        number = 1 + (total[:, 1:most] < self.threshold).sum(dim=1, keepdim=True)  # n; index of the likeliest of N
        ranks = torch.arange(most, device=target.device)[None, :, None, None]
        mean = (total.gather(1, number) / (number + 1)).clamp(max=1.0)
        gap = mean - probability.gather(1, number)
        if self.weight == "none":
            weight = torch.ones_like(gap)
        elif self.weight == "linear":
            weight = gap / mean
        elif self.weight == "convex":
            weight = gap / (2.0 * mean - gap)
        else:
            weight = torch.log1p(50.0 * gap.clamp(min=0.0)) / torch.log1p(50.0 * mean)
        return classes[:, :most], ranks < number, weight[:, 0].clamp(0.0, 1.0)

    @torch.no_grad()
    def _factor(self, loss: Tensor, logits: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy by FPL, both as means."""
        return (F.cross_entropy(logits, label) / loss.mean().clamp(min=1e-6)).clamp(0.1, 10.0)

    @torch.no_grad()
    def _describe(self, is_positive: Tensor, weight: Tensor, factor: Tensor) -> None:
        number = is_positive.sum(dim=1)
        shares = {"1": number == 1, "2": number == 2, "3_or_more": number > 2}
        self.figures = {f"unsup.positives_{name}": share.float().mean() for name, share in shares.items()}
        self.figures |= {"unsup.positives_weight": weight.mean(), "unsup.positives_balance": factor}
