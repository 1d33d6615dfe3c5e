"""Connected components on the device that has the mask: nothing is copied to the host."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def connected_components(mask: Tensor) -> Tensor:
    """Number the connected parts of masks; pixels that touch at a side or a corner are connected.

    Every pixel points to another one of its component with a larger index. In each round it and the pixel that it
    points to are hooked to the largest that is known next to it, and then it points to where that one points (FastSV,
    arXiv 1910.05971). The rounds grow with the logarithm of the pixels, so that nobody has to ask whether
    something has changed.

    Args:
        mask: (B, H, W) bool.

    Returns:
        (B, H, W) int64: the largest index in the image, counted from 1, of the pixels of the component; 0 outside.
    """
    batch, pixels = len(mask), mask[0].numel()
    index = torch.arange(1, pixels + 1, device=mask.device).view(1, *mask.shape[1:])
    label = torch.where(mask, index, 0).flatten(1)
    outside = label.new_zeros(batch, 1)  # 0 points to itself
    for _ in range(math.ceil(math.log2(pixels)) + 1):
        parent = torch.cat([outside, label], dim=1)
        further = parent.gather(1, label)
        near = F.pad(further.view(mask.shape), (1, 1, 1, 1)).unfold(1, 3, 1).unfold(2, 3, 1).amax(dim=(-2, -1))
        near = torch.where(mask, near, 0).flatten(1)
        parent = parent.scatter_reduce(1, label, near, "amax")[:, 1:]
        label = torch.maximum(torch.maximum(parent, near), further)
    return label.view(mask.shape)


def component_sizes(label: Tensor) -> Tensor:
    """Pixels of each component of :func:`connected_components`: (B, H * W + 1) int64 by its number, 0 for others."""
    flat = label.flatten(1)
    return flat.new_zeros(len(flat), flat.shape[1] + 1).scatter_add_(1, flat, (flat > 0).long())


def bounding_boxes(mask: Tensor) -> Tensor:
    """Fill the bounding box of each mask: (B, H, W) bool -> the same; empty for an empty mask."""
    inside = torch.ones_like(mask)
    for dim in (1, 2):
        line = mask.any(dim=3 - dim, keepdim=True).int()
        inside &= (line.cumsum(dim) > 0) & (line.flip(dim).cumsum(dim).flip(dim) > 0)
    return inside
