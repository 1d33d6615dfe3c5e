"""CorrMatch's propagation of labels over segments (CVPR 2024, arXiv 2306.04300)."""

import torch
from torch import Tensor


@torch.no_grad()
def spread_labels(
    label: Tensor, kept: Tensor, segments: Tensor, threshold: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Give segments that are mostly sure and mostly of one class this class as a whole.

    The segments are taken in order, and later ones see the labels that earlier ones have changed.

    Args:
        label: (B, H, W) int64.
        kept: (B, H, W) bool, the sure pixels.
        segments: (B, S, H, W) bool; padding and pasted pixels are in none.
        threshold: Share of sure pixels that a segment needs at least, and of one class that it needs to exceed.
        num_classes: Classes K.

    Returns:
        Labels and kept pixels afterwards.
    """
    label, result = label.flatten(1), kept.flatten(1)
    kept = result
    for segment in segments.flatten(2).unbind(dim=1):
        sure = segment & kept
        counts = label.new_zeros(len(label), num_classes).scatter_add_(1, label, sure.long())
        total, winner = sure.sum(dim=1), counts.argmax(dim=1)
        share = total / segment.sum(dim=1).clamp(min=1)
        purity = counts.amax(dim=1) / total.clamp(min=1)
        takes = (total > 0) & (share >= threshold) & (purity > threshold)
        changed = segment & takes[:, None]
        label, result = torch.where(changed, winner[:, None], label), result | changed
    return label.view(segments[:, 0].shape), result.view(segments[:, 0].shape)
