"""CutOut: a rectangle of noise that is not learned from."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS

from mmseg_allspark.utils.checks import Share, check_types


@TRANSFORMS.register_module()
class RandomNoiseCutOut(BaseTransform):
    """Replaces a rectangle of the image by noise, and its labels by ``ignore_index``.

    The noise is uniform in [0, 255), drawn for each pixel and channel. Area, aspect and place are drawn again until the
    rectangle is inside the image (ST++, section 3.2). Use it before the image is normalised; the mask of padding stays.

    Args:
        area: Lowest and highest share of the image's area, drawn uniformly. Default (0.02, 0.4).
        aspect: Lowest and highest ratio of height to width, drawn uniformly. Default (0.3, 1 / 0.3).
        prob: Probability that anything is changed at all. Default 0.5.
        ignore_index: Label of the rectangle's pixels. Default 255.

    Raises:
        ValueError: If a range is not two numbers in ascending order, or an area is not inside (0, 1).
    """

    @check_types
    def __init__(
        self,
        area: tuple[float, float] = (0.02, 0.4),
        aspect: tuple[float, float] = (0.3, 1 / 0.3),
        prob: Share = 0.5,
        ignore_index: int = 255,
    ) -> None:
        if not 0 < area[0] <= area[1] < 1:
            raise ValueError(f"RandomNoiseCutOut.area={area} has to be (low, high) with 0 < low <= high < 1.")
        # a rectangle of the smallest area and some aspect has to fit, or the draw would never end
        if not 0 < aspect[0] <= aspect[1] or area[0] * max(aspect[0], 1 / aspect[1]) > 0.5:
            raise ValueError(
                f"RandomNoiseCutOut.aspect={aspect} has to be (low, high) with 0 < low <= high, and near "
                f"enough to 1 that rectangles of area={area} fit into the image."
            )
        self.area, self.aspect, self.prob, self.ignore_index = tuple(area), tuple(aspect), prob, ignore_index

    @cache_randomness
    def _draw(self) -> bool:
        return bool(np.random.rand() < self.prob)

    @cache_randomness
    def draw_box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Draw a rectangle of an image of this size: first row and column, and those behind the last."""
        while True:
            area = np.random.uniform(*self.area) * height * width
            aspect = np.random.uniform(*self.aspect)
            columns, rows = int(np.sqrt(area / aspect)), int(np.sqrt(area * aspect))
            left, top = np.random.randint(0, width), np.random.randint(0, height)
            if left + columns <= width and top + rows <= height:
                return top, left, top + rows, left + columns

    def transform(self, results: dict) -> dict:
        """Change ``img`` (H, W, C) uint8 and the masks among ``seg_fields``."""
        if self._draw():
            results["img"] = results["img"].copy()
            top, left, bottom, right = self.draw_box(*results["img"].shape[:2])
            rows, columns = slice(top, bottom), slice(left, right)
            inside = results["img"][rows, columns]
            inside[...] = np.random.uniform(0, 255, inside.shape)
            for name in {*results.get("seg_fields", ()), "gt_seg_map"} & results.keys() - {"valid"}:
                results[name] = results[name].copy()
                results[name][rows, columns] = self.ignore_index
        return results
