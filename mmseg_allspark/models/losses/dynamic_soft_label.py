"""ESL's dynamic soft label (Enhanced Soft Label, ICCV 2023): a pixel keeps its dominant classes, sure or not."""

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.checks import Share, check_types


@torch.no_grad()
def dynamic_soft_label(logits: Tensor, mass: float = 0.95) -> Tensor:
    """Probabilities of the likeliest classes, which together have the given mass; the others become 0.

    A sure pixel keeps one class, which is its hard label. Classes that tie with the least likely one that is kept
    are kept as well.

    Args:
        logits: (B, K, H, W) of the label.
        mass: Total probability that the kept classes reach, in [0, 1]. Default 0.95.

    Returns:
        (B, K, H, W) float32 probabilities without gradient; they add up to 1.
    """
    prob = logits.float().softmax(dim=1)
    ranked = prob.sort(dim=1, descending=True).values
    # the last sum is left out: rounding may keep it below a mass of 1
    last = (ranked.cumsum(dim=1)[:, :-1] < mass).sum(dim=1, keepdim=True)
    kept = torch.where(prob >= ranked.gather(1, last), prob, 0.0)
    return kept / kept.sum(dim=1, keepdim=True)


@MODELS.register_module()
class DynamicSoftLabelLoss(nn.Module):
    """Cross-entropy of each pixel against its dynamic soft label (ESL, ICCV 2023).

    It needs no confidence threshold: an unsure pixel teaches which classes it may have, and which it has not.

    Args:
        mass: Total probability that the classes of a label reach, the paper's eta. 0 gives hard labels, 1 the
            probabilities as they are. Default 0.95.

    Attributes:
        figures: Scalars for the log about the latest call: mean number of classes of a label, share of labels with
            one class.
    """

    @check_types
    def __init__(self, mass: Share = 0.95) -> None:
        super().__init__()
        self.mass = mass
        self.figures: dict[str, Tensor] = {}

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of each pixel.

        Args:
            logits: (B, K, H, W) of what learns.
            target: (B, K, H, W) logits of the label; they get no gradient.

        Returns:
            (B, H, W) float32.
        """
        with torch.autocast(device_type=logits.device.type, enabled=False):
            label = dynamic_soft_label(target, self.mass)
            loss = F.cross_entropy(logits.float(), label, reduction="none")
        number = (label > 0).sum(dim=1)
        self.figures = {
            "unsup.label_classes": number.float().mean(),
            "unsup.label_one_hot": (number == 1).float().mean(),
        }
        return loss
