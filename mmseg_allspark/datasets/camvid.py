"""CamVid with SegNet's 11 classes."""

from __future__ import annotations

from pathlib import Path

from mmseg.registry import DATASETS

from mmseg_allspark.utils.checks import check_types

from .base import CheckedSegDataset


@DATASETS.register_module()
class CamVidDataset(CheckedSegDataset):
    """CamVid: 480x360 street scenes, 11 classes, 255 = void (Brostow et al., 2009; SegNet's labels).

    Args:
        img_suffix: Suffix of the images. None (default): '.jpg' if the image folder holds such files, else
            '.png' (SegNet's copy).
        seg_map_suffix: Suffix of the masks. Default: '.png'.
        **kwargs: As in ``BaseSegDataset``; ``ann_file`` lists ids (file names without suffix), one a line.
    """

    _name, _tool = "CamVid", "tools/prepare/camvid.py"
    METAINFO = dict(
        classes=(
            "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car",
            "pedestrian", "bicyclist",
        ),
        palette=[
            [128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222], [128, 128, 0],
            [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192],
        ],
    )  # fmt: skip

    @check_types
    def __init__(self, img_suffix: str | None = None, seg_map_suffix: str = ".png", **kwargs: object) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """As in ``BaseSegDataset``, with the suffix of the images that there are."""
        if self.img_suffix is None:
            self.img_suffix = ".jpg" if next(Path(self.data_prefix["img_path"]).rglob("*.jpg"), None) else ".png"
        return super().load_data_list()
