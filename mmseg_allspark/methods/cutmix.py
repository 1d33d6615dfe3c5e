"""CutMix between different unlabeled images (arXiv 1906.01916)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_allspark.utils.checks import check_range, check_types


class CutMix:
    """Pastes one rectangle of the next image of the batch into each image, with everything that belongs to it.

    Args:
        prob: Probability with which an image receives a rectangle. Default 0.5.
        area: Range of the rectangle's area as a share of the image. Default (0.02, 0.4).
        aspect: Range of height / width. Default (0.3, 3.3).
    """

    @check_types
    def __init__(
        self,
        prob: float = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        aspect: tuple[float, float] = (0.3, 3.3),
    ) -> None:
        check_range("cutmix.prob", prob, 0.0, 1.0)
        for name, (low, high), limit in (("area", area, 1.0), ("aspect", aspect, math.inf)):
            check_range(f"cutmix.{name}[0]", low, 1e-6, limit)
            check_range(f"cutmix.{name}[1]", high, low, limit)
        self.prob, self.area, self.aspect = prob, tuple(area), tuple(aspect)

    def __call__(self, tensors: Sequence[Tensor], pasted: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Mix the tensors alike.

        Args:
            tensors: Each (B, ..., H, W) of the same B, H and W: images, labels, weights, logits.
            pasted: Where the rectangles are taken from, one for each of ``tensors``. Default None: from
                ``tensors`` themselves.

        Returns:
            New tensors; with one image nothing can be mixed and they are returned as they are.
        """
        batch, (height, width) = tensors[0].shape[0], tensors[0].shape[-2:]
        if batch < 2:
            return list(tensors)
        mixed = [tensor.clone() for tensor in tensors]
        for image in range(batch):
            if torch.rand(()).item() >= self.prob:
                continue
            rows, columns = self._rectangle(height, width)
            partner = (image + 1) % batch
            for tensor, source in zip(mixed, tensors if pasted is None else pasted, strict=True):
                tensor[image, ..., rows, columns] = source[partner, ..., rows, columns]
        return mixed

    def _rectangle(self, height: int, width: int) -> tuple[slice, slice]:
        """Draw a rectangle that lies inside the image."""
        area = torch.empty(()).uniform_(*self.area).item() * height * width
        aspect = math.exp(torch.empty(()).uniform_(*map(math.log, self.aspect)).item())
        box_h = min(height, max(1, round(math.sqrt(area * aspect))))
        box_w = min(width, max(1, round(math.sqrt(area / aspect))))
        top = int(torch.randint(height - box_h + 1, ()).item())
        left = int(torch.randint(width - box_w + 1, ()).item())
        return slice(top, top + box_h), slice(left, left + box_w)
