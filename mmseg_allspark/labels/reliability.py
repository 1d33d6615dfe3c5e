"""How reliable the labels of an image are: whether earlier checkpoints of a training already gave the same ones.

Legend: K classes, (H, W) image size in pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def class_ious(labels: Tensor, truth: Tensor, num_classes: int) -> Tensor:
    """IoU of each class over one image.

    Args:
        labels: (H, W) integers in [0, K).
        truth: (H, W) integers. Pixels outside of [0, K) do not count.
        num_classes: Classes K.

    Returns:
        (K,) float32; NaN for a class that is in neither.
    """
    labels, truth = labels.long(), truth.long()
    counts = (truth >= 0) & (truth < num_classes)
    # a pixel that does not count goes to a bin of its own, so that nothing waits for its number
    pairs = torch.where(counts, truth * num_classes + labels, num_classes**2)
    confusion = torch.bincount(pairs.flatten(), minlength=num_classes**2 + 1)[:-1].view(num_classes, num_classes)
    both = confusion.diagonal()
    return both / (confusion.sum(dim=0) + confusion.sum(dim=1) - both)


def mean_iou(labels: Tensor, truth: Tensor, num_classes: int) -> float:
    """Mean of :func:`class_ious` over the classes that are in ``labels`` or ``truth``."""
    return class_ious(labels, truth, num_classes).nanmean().item()


def image_reliability(earlier: Sequence[Tensor], last: Tensor, num_classes: int) -> float:
    """How far the labels of earlier checkpoints agree with those of the last one (ST++, section 3.3).

    Args:
        earlier: Labels of the image by each earlier checkpoint, (H, W) integers in [0, K).
        last: (H, W) labels by the last checkpoint.
        num_classes: Classes K.

    Returns:
        The mean of their mIoU with ``last``, in [0, 1]; 1 where all checkpoints agree.

    Raises:
        ValueError: If there is no earlier checkpoint.
    """
    if not earlier:
        raise ValueError("The reliability of labels needs at least one earlier checkpoint, got none.")
    return sum(mean_iou(labels, last, num_classes) for labels in earlier) / len(earlier)


def split_by_reliability(values: Sequence[float], share: float = 0.5) -> tuple[list[int], list[int]]:
    """Positions of the most reliable images, and of the others.

    Args:
        values: Reliability of each image.
        share: Share of the images that are reliable, rounded down. Default 0.5.

    Returns:
        Both from the most to the least reliable; equal ones keep their order.
    """
    order = sorted(range(len(values)), key=lambda index: -values[index])
    kept = int(len(values) * share)
    return order[:kept], order[kept:]
