"""Labels of unlabeled images that somebody or something made before the training."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import numpy as np
from mmseg.registry import TRANSFORMS

from mmseg_allspark.utils.checks import check_types

from .decoding import DataFileError
from .loading import LoadSegMask


@TRANSFORMS.register_module()
class LoadPseudoLabel(LoadSegMask):
    """Reads class numbers, and perhaps a confidence for each pixel, that belong to an unlabeled image.

    For ``train_cfg.pseudo_labels_from='data'``. Use it after ``LoadImage``, before geometric transforms; the maps are
    resized, cropped and flipped with the image, and padded by ``PadAndMark``. The file of ``.../a/b/name.jpg`` is the
    first one that exists of ``folder/.../a/b/name.png``, ``folder/b/name.png``, ``folder/name.png``, where
    ``name.jpg.png`` may stand for ``name.png``: ``tools/infer.py --labels --confidence`` writes such names.

    Args:
        folder: Of the label files: PNGs of one channel with class numbers; ``ignore_index`` where nothing is known.
        confidence_folder: Of the confidence files: PNGs of one channel, 8 bits, 255 is sure. Default None: all are.
        **kwargs: Those of ``LoadSegMask``.

    Added keys, both (H, W) uint8 and in ``seg_fields``: ``pseudo_seg_map`` and, with ``confidence_folder``,
    ``pseudo_confidence``.

    Raises:
        DataFileError: At a sample, if a file is missing or does not fit its image.
    """

    @check_types
    def __init__(self, folder: str, confidence_folder: str | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.has_folder = folder != ""  # Path("") would be the working directory
        self.sources = dict(pseudo_seg_map=(Path(folder), self))
        if confidence_folder is not None:
            anything = LoadSegMask(num_classes=256, drawn_on=self.drawn_on, backend_args=self.backend_args)
            self.sources["pseudo_confidence"] = Path(confidence_folder), anything

    def transform(self, results: dict) -> dict:
        """Add the maps to the sample."""
        for key in self.sources:
            results[key] = self.read(key, results)
            results.setdefault("seg_fields", []).append(key)
        return results

    def read(self, key: str, results: dict) -> np.ndarray:
        """Read one map of a sample, (H, W) uint8; ``key`` is one of ``sources``."""
        folder, reader = self.sources[key]
        path = find_label(folder, results["img_path"])
        if not path.is_file():
            raise DataFileError(
                f"LoadPseudoLabel finds no labels of {results['img_path']}: neither {path} nor a file below the "
                "names of its folders exists. Correct the folder, make the file, or take the image off the list.",
                "missing",
            )
        return reader.read_labels(results | dict(seg_map_path=str(path), reduce_zero_label=False, label_map=None))


def find_label(folder: Path, image: str) -> Path:
    """Return the label file of an image, the first of :func:`label_names` that exists, or else the last of them."""
    candidates = [folder / name for name in label_names(image)]
    return next((path for path in candidates if path.is_file()), candidates[-1])


def label_names(image: str) -> list[str]:
    """Return the names below the folder of label files that an image's labels may have, in the order of the search.

    Those of ``/b/x.jpg`` are ``b/x.jpg.png``, ``b/x.png``, ``x.jpg.png``, ``x.png``.
    """
    path = PurePath(os.path.abspath(image))
    folders, names = path.parts[1:-1], (f"{path.name}.png", f"{path.stem}.png")
    return [str(PurePath(*folders[start:], name)) for start in range(len(folders) + 1) for name in names]
