"""Labels of unlabeled images that somebody or something made before the training."""

from __future__ import annotations

from pathlib import Path

from mmseg.registry import TRANSFORMS

from mmseg_allspark.utils.checks import check_types

from .loading import LoadSegMask


@TRANSFORMS.register_module()
class LoadPseudoLabel(LoadSegMask):
    """Reads class numbers, and perhaps a confidence for each pixel, that belong to an unlabeled image.

    For ``train_cfg.pseudo_labels_from='data'``. Use it after ``LoadImage``, before geometric transforms; the maps are
    resized, cropped and flipped with the image, and padded by ``PadAndMark``. The file of
    ``.../a/b/name.jpg`` is ``folder/a/b/name.png`` or, if there is none, ``folder/b/name.png`` or ``folder/name.png``.

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
        self.sources = dict(pseudo_seg_map=(Path(folder), self))
        if confidence_folder is not None:
            anything = LoadSegMask(num_classes=256, drawn_on=self.drawn_on, backend_args=self.backend_args)
            self.sources["pseudo_confidence"] = Path(confidence_folder), anything

    def transform(self, results: dict) -> dict:
        """Add the maps to the sample."""
        for key, (folder, reader) in self.sources.items():
            path = find_label(folder, results["img_path"])
            named = dict(seg_map_path=str(path), reduce_zero_label=False, label_map=None)
            results[key] = reader.read_labels(results | named)
            results.setdefault("seg_fields", []).append(key)
        return results


def find_label(folder: Path, image: str) -> Path:
    """Return the label file of an image: under the longest end of its path for which there is one.

    Args:
        folder: Of the label files.
        image: The image's path; folders of equally named images are told apart by it.
    """
    parts = Path(image).with_suffix(".png").parts
    candidates = [folder.joinpath(*parts[start:]) for start in range(max(1, len(parts) - 3), len(parts))]
    return next((path for path in candidates if path.is_file()), candidates[-1])
