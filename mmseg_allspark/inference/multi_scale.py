"""Predictions of several scales and mirror images together.

Legend: B images, K classes, (H, W) size in pixels.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Network = Callable[[Tensor, list[dict]], Tensor]


class MultiScale:
    """Adds up the probabilities of an image at several scales, and of its mirror images.

    It takes the place of the method ``inference`` of mmseg's segmentors: ``model.inference =
    MultiScale(model.inference)``. Images and probabilities are resized bilinearly with aligned corners, as ST++ does.

    Args:
        network: Gives logits (B, K, h, w) for images (B, 3, h, w) and their meta information.
        scales: Factors of height and width; sizes are rounded down. Default (0.5, 0.75, 1.0, 1.5, 2.0).
        flip: Whether each scale is also predicted mirrored. Default True.

    Raises:
        ValueError: If a scale is not positive, or there is none.
    """

    def __init__(
        self, network: Network, scales: Sequence[float] = (0.5, 0.75, 1.0, 1.5, 2.0), flip: bool = True
    ) -> None:
        if not scales or min(scales) <= 0:
            raise ValueError(f"scales={scales} has to hold positive factors, e.g. (0.5, 1.0, 2.0).")
        self.network, self.scales, self.flip = network, tuple(scales), flip

    @torch.no_grad()
    def __call__(self, inputs: Tensor, metas: list[dict]) -> Tensor:
        """Sums (B, K, H, W) of the probabilities; their argmax is the label.

        Args:
            inputs: (B, 3, H, W), normalised.
            metas: Meta information of each image.
        """
        size, total = inputs.shape[2:], 0.0
        for scale in self.scales:
            shape = tuple(max(1, int(side * scale)) for side in size)
            images = resize(inputs, shape)
            resized = [meta | dict(img_shape=shape, pad_shape=shape) for meta in metas]
            for mirrored in (False, True)[: 1 + self.flip]:
                logits = self.network(images.flip(3) if mirrored else images, resized)
                probabilities = resize(logits.float().softmax(dim=1), size)
                total = total + (probabilities.flip(3) if mirrored else probabilities)
        return total


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (B, C, h, w) to (B, C, H, W) bilinearly with aligned corners."""
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)
