"""COCO 2017 for semantic segmentation: background and the 80 categories of the instance annotations."""

from __future__ import annotations

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
        classes=(
            "background", "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
            "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse",
            "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie",
            "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove",
            "skateboard", "surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon",
            "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut",
            "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse",
            "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book",
            "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
        ),
        palette=_make_palette(81),
    )  # fmt: skip
