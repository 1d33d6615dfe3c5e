"""Random draws for each class whose number of results the host knows beforehand, so that it need not wait for a GPU."""

import torch
from torch import Tensor


@torch.no_grad()
def draw_below(limits: Tensor, number: int) -> Tensor:
    """Draw integers below each of the limits, with replacement.

    Args:
        limits: (K,) int64.
        number: Draws for each.

    Returns:
        (K, number) int64; 0 where the limit is 0.
    """
    drawn = (torch.rand(len(limits), number, device=limits.device) * limits[:, None]).long()
    return torch.minimum(drawn, limits[:, None] - 1).clamp(min=0)


@torch.no_grad()
def draw_where(mask: Tensor, number: int) -> Tensor:
    """Draw positions of each row of a mask, without replacement.

    Args:
        mask: (K, N) bool.
        number: Positions to draw from a row; where it has fewer, all of them are drawn.

    Returns:
        (K, min(number, N)) int64, ascending; N where there are no more.
    """
    columns = mask.shape[1]
    order = torch.where(mask, torch.rand(mask.shape, device=mask.device), -1.0)
    drawn = order.topk(min(number, columns), dim=1)
    return torch.where(drawn.values >= 0.0, drawn.indices, columns).sort(dim=1).values
