"""How reliable the labels of an image are: whether earlier checkpoints of a training already gave the same ones.

Legend: K classes, (H, W) image size in pixels.
"""

from collections.abc import Sequence

from mmseg.evaluation import IoUMetric
from torch import Tensor


def mean_iou(labels: Tensor, truth: Tensor, num_classes: int) -> float:
    """Mean IoU over the classes that are in ``labels`` or ``truth``, (H, W) integers; ``truth`` 255 does not count."""
    intersect, union, *_ = IoUMetric.intersect_and_union(labels, truth, num_classes, 255)
    return (intersect / union).nanmean().item()


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
