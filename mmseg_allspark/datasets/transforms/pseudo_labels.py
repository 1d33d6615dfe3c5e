"""Labels of unlabeled images that somebody or something made before the training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmseg.registry import TRANSFORMS

from mmseg_allspark.utils.checks import check_types

from .decoding import DataFileError
from .loading import LoadSegMask


@TRANSFORMS.register_module()
class LoadPseudoLabel(LoadSegMask):
    """Reads class numbers, and perhaps a confidence for each pixel, that belong to an unlabeled image.

    For ``train_cfg.pseudo_labels_from='data'``. Use it after ``LoadImage``, before geometric transforms; the maps are
    resized, cropped and flipped with the image, and padded by ``PadAndMark``. The file of ``a/b/name.jpg`` is
    ``folder/name.png``.

    Args:
        folder: Of the label files: PNGs of one channel with class numbers; ``ignore_index`` where nothing is known.
        confidence_folder: Of the confidence files: PNGs of one channel, 8 bits, 255 is sure. Default None: all are.
        **kwargs: Those of ``LoadSegMask``.

    Added keys, both (H, W) uint8 and in ``seg_fields``: ``pseudo_seg_map`` and, with ``confidence_folder``,
    ``pseudo_confidence``.
    """

    @check_types
    def __init__(self, folder: str, confidence_folder: str | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.folder, self.confidence_folder = Path(folder), confidence_folder and Path(confidence_folder)

    def transform(self, results: dict) -> dict:
        """Add the maps to the sample."""
        name = f"{Path(results['img_path']).stem}.png"
        loaded = results | dict(seg_map_path=str(self.folder / name), seg_fields=[], reduce_zero_label=False)
        self._load_seg_map(loaded)
        fields = results.setdefault("seg_fields", [])
        results["pseudo_seg_map"] = loaded["gt_seg_map"]
        fields.append("pseudo_seg_map")
        if self.confidence_folder is not None:
            path = str(self.confidence_folder / name)
            confidence = self._decode_mask(path, results)
            self._check_size(confidence, path, results)
            if confidence.dtype != np.uint8:
                raise DataFileError(f"The confidence {path} is {confidence.dtype}: write 8 bits, 0 to 255 (sure).")
            results["pseudo_confidence"] = confidence
            fields.append("pseudo_confidence")
        return results
