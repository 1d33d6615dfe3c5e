"""Random draws for each class whose number of results the host knows beforehand, so that it need not wait for a GPU."""

import torch
from torch import Tensor

from mmseg_allspark.models.pixel_rows import count_pixels


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


@torch.no_grad()
def draw_per_class(classes: Tensor, num_classes: int, number: int) -> tuple[Tensor, Tensor]:
    """Draw pixels of every class.

    Args:
        classes: (N,) int64; ``num_classes`` where there is none.
        num_classes: Classes K.
        number: Pixels of a class; where it has fewer, they repeat, and where it has none, others stand in.

    Returns:
        (K, number) int64 indices and (K,) int64, how many pixels each class has.
    """
    order = torch.randperm(len(classes), device=classes.device)
    order = order[classes[order].argsort(stable=True)]
    count = count_pixels(classes, num_classes)
    place = torch.arange(number, device=classes.device) % count.clamp(min=1)[:, None]
    return order[((count.cumsum(0) - count)[:, None] + place).clamp(max=len(classes) - 1)], count
