"""Geometric augmentation of the AllSpark release, and what of a crop is image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from mmcv.transforms import Pad, Resize
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS

from mmseg_allspark.utils.checks import check_types


@TRANSFORMS.register_module()
class RandomResizeLongSide(Resize):
    """Resizes so that the long side is a random share of its length, keeping the aspect ratio.

    The new long side is an integer drawn uniformly from [int(long * low), int(long * high)], both included;
    the short side follows as int(short * new_long / long + 0.5). Pillow resizes the image bilinearly
    with antialiasing and the mask to the nearest pixel, as the release does.

    Args:
        ratio_range: Lowest and highest share of the long side. Default: (0.5, 2.0).

    Raises:
        ValueError: If the range is not two numbers with 0 < low <= high.
    """

    @check_types
    def __init__(self, ratio_range: tuple[float, float] = (0.5, 2.0)) -> None:
        if not 0 < ratio_range[0] <= ratio_range[1]:
            raise ValueError(
                f"RandomResizeLongSide needs ratio_range=(low, high) with 0 < low <= high, got {ratio_range}."
            )
        super().__init__(scale=1, keep_ratio=False, backend="pillow")
        self.ratio_range = tuple(ratio_range)

    @cache_randomness
    def _draw_long_side(self, long_side: int) -> int:
        low, high = (int(long_side * ratio) for ratio in self.ratio_range)
        return int(np.random.randint(max(low, 1), max(high, 1) + 1))

    def transform(self, results: dict) -> dict:
        """Resizes ``img`` (H, W, 3) uint8 and, if there is one, ``gt_seg_map`` (H, W)."""
        height, width = results["img"].shape[:2]
        new_long = self._draw_long_side(max(height, width))
        if height > width:
            new_height, new_width = new_long, int(1.0 * width * new_long / height + 0.5)
        else:
            new_height, new_width = int(1.0 * height * new_long / width + 0.5), new_long
        results["scale"] = (max(new_width, 1), max(new_height, 1))
        self._resize_img(results)
        _change_masks(self._resize_seg, results)
        return results


@TRANSFORMS.register_module()
class PadAndMark(Pad):
    """mmcv's ``Pad`` that writes down what is image and what is padding, with or without a mask.

    A method with ``mask_padding=True`` needs it. Use it after the crop; a flip may follow.

    Args:
        **kwargs: Those of mmcv's ``Pad``.
    """

    def transform(self, results: dict) -> dict:
        """Pads, and adds ``valid``, a uint8 map of the new size: 1 on the image.

        It is one of the sample's ``seg_fields``, so that transforms that follow treat it as a mask.
        """
        height, width = results["img"].shape[:2]
        results = super().transform(results)
        results["valid"] = np.zeros(results["img"].shape[:2], dtype=np.uint8)
        results["valid"][:height, :width] = 1  # mmcv pads to the right and below
        fields = results.setdefault("seg_fields", [])
        if "valid" not in fields:
            fields.append("valid")
        return results

    def _pad_seg(self, results: dict) -> None:
        """Pad all masks, where mmcv pads ``gt_seg_map`` alone."""
        _change_masks(super()._pad_seg, results, leave_out=("valid",))


def _change_masks(change: Callable[[dict], object], results: dict, leave_out: Sequence[str] = ()) -> None:
    """Let a step of mmcv's, which knows ``gt_seg_map`` alone, change all masks of a sample."""
    names = {*results.get("seg_fields", ())} | {"gt_seg_map"} & results.keys()
    for name in names.difference(leave_out):
        sample = results | dict(gt_seg_map=results[name])
        change(sample)
        results[name] = sample["gt_seg_map"]
