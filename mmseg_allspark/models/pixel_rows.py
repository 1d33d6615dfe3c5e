"""Features of pixels as rows, their means, and how many pixels each class has, without a copy to the host.

Legend: B images, K classes, D channels, N = B * h * w pixels.
"""

import torch
from mmengine.dist import all_reduce
from torch import Tensor


def pixel_rows(maps: Tensor) -> Tensor:
    """One row for each pixel: (B, D, h, w) -> (N, D)."""
    return maps.movedim(1, -1).flatten(0, 2)


def is_of_class(classes: Tensor, num_classes: int) -> Tensor:
    """Which pixels are of each class, as bool; those of K are of none: (N,) -> (K, N), (B, h, w) -> (B, K, h, w)."""
    index = torch.arange(num_classes, device=classes.device)[:, None]
    return classes == index if classes.dim() == 1 else classes[:, None] == index[..., None]


def count_pixels(classes: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class: (N,) int64 in [0, K] -> (K,) int64; K stands for no class."""
    return classes.new_zeros(num_classes + 1).scatter_add_(0, classes, torch.ones_like(classes))[:-1]


def mean_rows(rows: Tensor, ids: Tensor, number: int, *, every_rank: bool = False) -> tuple[Tensor, Tensor]:
    """Mean of the rows of each id.

    Args:
        rows: (N, D).
        ids: (N,) int64 in [0, number).
        number: Ids.
        every_rank: Over the rows of all ranks. Default False.

    Returns:
        (number, D) float32, 0 where there is no row, and (number,) float32, how many rows there are.
    """
    total = rows.new_zeros(number, rows.shape[1], dtype=torch.float32).index_add_(0, ids, rows.float())
    count = total.new_zeros(number).index_add_(0, ids, total.new_ones(len(ids)))
    if every_rank:
        all_reduce(total)
        all_reduce(count)
    return total / count.clamp(min=1.0)[:, None], count
