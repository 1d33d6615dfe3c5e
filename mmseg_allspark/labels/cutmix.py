"""CutMix between different unlabeled images (arXiv 1906.01916)."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from mmseg_allspark.utils.checks import PositiveInt, Share, check_range, check_types


class CutMix:
    """Pastes rectangles of the next image of the batch into each image, with everything that belongs to it.

    Args:
        prob: Probability with which an image receives rectangles. Default 0.5.
        area: Range of the area of the rectangles as a share of the image. Default (0.02, 0.4).
        aspect: Range of height / width, drawn log-uniformly. None: the height as a share of the image is log-uniform
            between the area's share and 1 (CutMix-Seg). Default (0.3, 3.3).
        boxes: Rectangles an image receives, each with 1 / boxes of the area; where two overlap the image stays.
            Default 1.
        per: ``'image'``: each image draws by itself whether it is mixed; ``'batch'``: all are or none. Default
            ``'image'``.
    """

    @check_types
    def __init__(
        self,
        prob: Share = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        aspect: tuple[float, float] | None = (0.3, 3.3),
        boxes: PositiveInt = 1,
        per: Literal["image", "batch"] = "image",
    ) -> None:
        for name, (low, high), limit in (("area", area, 1.0), ("aspect", aspect or (1.0, 1.0), math.inf)):
            check_range(f"cutmix.{name}[0]", low, 1e-6, limit)
            check_range(f"cutmix.{name}[1]", high, low, limit)
        self.prob, self.area, self.aspect = prob, tuple(area), None if aspect is None else tuple(aspect)
        self.boxes, self.per = boxes, per

    def __call__(
        self,
        tensors: Sequence[Tensor],
        pasted: Sequence[Tensor] | None = None,
        partners: Sequence[int] | Tensor | None = None,
    ) -> list[Tensor]:
        """Mix the tensors alike.

        Args:
            tensors: Each (B, ..., H, W) of the same B, H and W: images, labels, weights, logits.
            pasted: Where the rectangles are taken from, one for each of ``tensors``. Default None: from
                ``tensors`` themselves.
            partners: (B,) index into ``pasted`` of the image that each receives from. Default None: the next image of
                the batch.

        Returns:
            New tensors; one image without a partner is returned as it is.
        """
        batch, (height, width) = tensors[0].shape[0], tensors[0].shape[-2:]
        if partners is None:
            if batch < 2:
                return list(tensors)
            partners = [(image + 1) % batch for image in range(batch)]
        sources = tensors if pasted is None else pasted
        if isinstance(partners, Tensor):  # gathered on the device, so that the host need not know them
            sources, partners = [source[partners] for source in sources], range(batch)
        mixed = [tensor.clone() for tensor in tensors]
        is_mixed = False
        for image in range(batch):
            if image == 0 or self.per == "image":
                is_mixed = torch.rand(()).item() < self.prob
            if not is_mixed:
                continue
            boxes = [self._rectangle(height, width) for _ in range(self.boxes)]
            for tensor, source in zip(mixed, sources, strict=True):
                _paste(tensor[image], source[partners[image]], boxes)
        return mixed

    def _rectangle(self, height: int, width: int) -> tuple[slice, slice]:
        """Draw a rectangle that lies inside the image."""
        share = torch.empty(()).uniform_(*self.area).item()
        if self.aspect is None:
            tall = math.exp(torch.rand(()).item() * math.log(share))
            sides = height * tall, width * share / tall
        else:
            aspect = math.exp(torch.empty(()).uniform_(*map(math.log, self.aspect)).item())
            area = share * height * width
            sides = math.sqrt(area * aspect), math.sqrt(area / aspect)
        box_h, box_w = (
            min(limit, max(1, round(side / math.sqrt(self.boxes))))
            for side, limit in zip(sides, (height, width), strict=True)
        )
        top = int(torch.randint(height - box_h + 1, ()).item())
        left = int(torch.randint(width - box_w + 1, ()).item())
        return slice(top, top + box_h), slice(left, left + box_w)


def _paste(image: Tensor, source: Tensor, boxes: list[tuple[slice, slice]]) -> None:
    """Write what lies in an odd number of boxes from ``source`` (..., H, W) into ``image``, in place."""
    if len(boxes) == 1:
        rows, columns = boxes[0]
        image[..., rows, columns] = source[..., rows, columns]
        return
    inside = torch.zeros(image.shape[-2:], dtype=torch.bool, device=image.device)
    for rows, columns in boxes:
        inside[rows, columns].logical_not_()
    image.copy_(torch.where(inside, source, image))
