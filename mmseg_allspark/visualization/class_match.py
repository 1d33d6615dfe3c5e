"""How much feature channels look like the maps of classes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def class_shares(labels: np.ndarray, num_classes: int, size: tuple[int, int], ignore_index: int = 255) -> np.ndarray:
    """Share of each class in each cell of a coarse grid.

    Args:
        labels: (H', W') integers.
        num_classes: Classes K.
        size: (H, W) of the grid.
        ignore_index: Label that is no class. Default 255.

    Returns:
        (K, H, W) float32 in [0, 1].
    """
    known = torch.from_numpy(np.where(labels == ignore_index, num_classes, labels).astype(np.int64))
    one_hot = F.one_hot(known, num_classes + 1)[..., :num_classes].permute(2, 0, 1).float()
    return F.adaptive_avg_pool2d(one_hot, size).numpy()


def match_classes(channels: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the class whose map each channel correlates with most.

    Args:
        channels: (C, H, W) features.
        shares: (K, H, W) from :func:`class_shares`. A class that is nowhere, or everywhere alike, matches nothing.

    Returns:
        (C,) int64 best class (-1 if none varies), and (C,) its Pearson correlation in [-1, 1] (NaN if none varies).
    """
    present = np.flatnonzero(np.ptp(shares, axis=(1, 2)) > 0)
    if not len(present):
        return np.full(len(channels), -1), np.full(len(channels), np.nan)
    correlation = _standardise(channels) @ _standardise(shares[present]).T / shares[0].size
    return present[correlation.argmax(axis=1)], correlation.max(axis=1)


def _standardise(maps: np.ndarray) -> np.ndarray:
    """(M, H, W) -> (M, H*W) of mean 0 and variance 1; constant maps become 0."""
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    flat = flat - flat.mean(axis=1, keepdims=True)
    spread = flat.std(axis=1, keepdims=True)
    return np.divide(flat, spread, out=np.zeros_like(flat), where=spread > 1e-12)
