"""COCO 2017 for semantic segmentation: background and the 80 categories of the instance annotations."""

from __future__ import annotations

from mmseg.datasets import COCOStuffDataset
from mmseg.registry import DATASETS

from .base import CheckedSegDataset


def _make_palette(count: int) -> list[list[int]]:
    # PASCAL VOC's colour map: bits 0, 3, 6 of a label are the highest bits of red, 1, 4, 7 of green, 2, 5 of blue
    return [
        [sum((label >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)]
        for label in range(count)
    ]


@DATASETS.register_module()
class COCO81Dataset(CheckedSegDataset):
    """COCO 2017 instances as 81 classes: 0 = background, 1..80 = the categories in the order of their ids.

    ``tools/prepare/coco.py`` makes the masks. The palette is PASCAL VOC's colour map for 81 labels.

    Args:
        **kwargs: As in ``BaseSegDataset``; ``ann_file`` lists ids (image ids of 12 digits), one a line.
    """

    _name, _tool = "COCO", "tools/prepare/coco.py"
    METAINFO = dict(
        classes=("background", *COCOStuffDataset.METAINFO["classes"][:80]),  # the categories come first there
        palette=_make_palette(81),
    )
