"""Loading of images and masks, with errors that name the file and what to do about it."""

from __future__ import annotations

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS

_LABELS_UINT8 = 256  # mmseg keeps masks as uint8, so a larger label would silently wrap around


class DataFileError(ValueError):
    """A file of the data set cannot be used; the message names the file and the remedy."""


def _read_bytes(path: str, what: str, key: str, backend_args: dict | None) -> bytes:
    """Reads a whole file.

    Args:
        path: Where the file is.
        what: 'image' or 'mask', for the message.
        key: The config keys that decide about the path, for the message.
        backend_args: As in mmengine's fileio.

    Returns:
        The content, never empty.

    Raises:
        DataFileError: If the file is missing, unreadable or empty.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as error:
        raise DataFileError(f"The {what} {path} does not exist. Check {key} of the dataset.") from error
    except OSError as error:
        raise DataFileError(
            f"The {what} {path} cannot be read ({error}). Check that it is a file you may read."
        ) from error
    if not content:
        raise DataFileError(
            f"The {what} {path} is empty (0 bytes). Copy or download it again, or take it off the list."
        )
    return content


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` with errors that name the file and the remedy.

    Args:
        *args: As in ``LoadImageFromFile``.
        **kwargs: As in ``LoadImageFromFile``; ``ignore_empty`` keeps its meaning (skip instead of raise).

    Required keys: ``img_path``. Added keys: ``img`` (H, W, 3) uint8 BGR, ``img_shape``, ``ori_shape``.

    Raises:
        ValueError: If mmcv's deprecated ``file_client_args`` is given.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        if self.file_client_args is not None:
            raise ValueError("LoadImage does not know file_client_args; give backend_args instead.")

    def transform(self, results: dict) -> dict | None:
        """Loads one image.

        Args:
            results: The sample so far, with ``img_path``.

        Returns:
            The sample with ``img``, or None where ``ignore_empty`` is set and the image cannot be loaded.

        Raises:
            DataFileError: If the image is missing, empty or cannot be decoded.
        """
        path = str(results["img_path"])
        try:
            content = _read_bytes(
                path,
                "image",
                "`data_root`, `data_prefix.img_path`, `img_suffix` and `ann_file`",
                self.backend_args,
            )
            results["img"] = self._decode(content, path)
        except DataFileError:
            if self.ignore_empty:
                return None
            raise
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results

    def _decode(self, content: bytes, path: str) -> np.ndarray:
        reason = ""
        try:
            image = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
        except Exception as error:  # every decoder raises its own kind of exception
            image, reason = None, f": {error}"
        if image is None or image.size == 0:
            raise DataFileError(
                f"The image {path} ({len(content)} bytes) cannot be decoded{reason}. It is damaged or not "
                "an image: copy or download it again, or take it off the list."
            )
        return image.astype(np.float32) if self.to_float32 else image


@TRANSFORMS.register_module()
class LoadSegMask(LoadAnnotations):
    """mmseg's ``LoadAnnotations`` that checks what it loads.

    The number of classes comes from ``num_classes``, else from the sample (this package's datasets put
    ``num_classes`` there); where neither says, label values are not checked against it.

    Args:
        num_classes: Labels have to lie in [0, num_classes) or be ``ignore_index``. None: as the dataset says.
        ignore_index: Label of pixels that do not count. Default: 255.
        optional: True for unlabeled data: where no mask file exists the sample simply has no ``gt_seg_map``.
            A mask that exists is checked as always. Default: False.
        **kwargs: As in ``LoadAnnotations`` (``reduce_zero_label``, ``backend_args``, ``imdecode_backend``).

    A bare image (inference: no data set has given it ``seg_fields``) passes through unchanged.

    Required keys: ``seg_map_path`` (unless optional). Added keys: ``gt_seg_map`` (H, W) uint8.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        ignore_index: int = 255,
        optional: bool = False,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.optional = optional

    def _load_seg_map(self, results: dict) -> None:
        if "seg_fields" not in results:
            return  # no data set made this sample: mmseg's inference API drops only its own LoadAnnotations
        path = results.get("seg_map_path")
        if self.optional and (path is None or not fileio.exists(path, backend_args=self.backend_args)):
            results.pop("seg_map_path", None)  # so that nobody later opens a file that is not there
            return
        if path is None:
            raise DataFileError(
                f"No mask is known for the image {results.get('img_path')}: give `data_prefix.seg_map_path` "
                "of the dataset, or, for unlabeled data, LoadSegMask(optional=True)."
            )
        raw = self._decode_mask(str(path))
        self._check_size(raw, str(path), results)
        labels = self._to_train_ids(raw, str(path), results)
        self._check_labels(labels, str(path), results)
        results["gt_seg_map"] = labels
        results.setdefault("seg_fields", []).append("gt_seg_map")

    def _decode_mask(self, path: str) -> np.ndarray:
        content = _read_bytes(
            path,
            "mask",
            "`data_root`, `data_prefix.seg_map_path`, `seg_map_suffix` and `ann_file`",
            self.backend_args,
        )
        reason = ""
        try:
            mask = mmcv.imfrombytes(content, flag="unchanged", backend=self.imdecode_backend)
        except Exception as error:  # every decoder raises its own kind of exception
            mask, reason = None, f": {error}"
        if mask is None or mask.size == 0:
            raise DataFileError(
                f"The mask {path} ({len(content)} bytes) cannot be decoded{reason}. It is damaged or not an "
                "image: copy or create it again, or take it off the list."
            )
        if mask.ndim == 3 and mask.shape[2] == 1:
            mask = mask[:, :, 0]
        if mask.ndim != 2:
            raise DataFileError(
                f"The mask {path} has shape {mask.shape}: one channel of label numbers is needed. "
                "Convert a coloured mask into label numbers (one grey or palette PNG) first."
            )
        return mask

    def _check_size(self, mask: np.ndarray, path: str, results: dict) -> None:
        # ori_shape and not img_shape: mmseg's test pipelines load masks after the image was resized
        expected = results.get("ori_shape")
        if expected is not None and tuple(expected[:2]) != mask.shape:
            raise DataFileError(
                f"The mask {path} is {mask.shape[1]}x{mask.shape[0]} (width x height) but its image "
                f"{results.get('img_path')} is {expected[1]}x{expected[0]}. Pair them right (`img_suffix`, "
                "`seg_map_suffix`) or resize one; an image that its EXIF data turns needs "
                "LoadImage(color_type='color_ignore_orientation')."
            )

    def _to_train_ids(self, raw: np.ndarray, path: str, results: dict) -> np.ndarray:
        highest, lowest = int(raw.max()), int(raw.min())
        if highest >= _LABELS_UINT8 or lowest < 0:
            bad = np.unique(raw[(raw >= _LABELS_UINT8) | (raw < 0)])[:8].tolist()
            raise DataFileError(
                f"The mask {path} holds the labels {bad}: labels have to lie in 0..255. Convert the mask to 8 bit."
            )
        reduce_zero = results.get("reduce_zero_label", False)
        if self.reduce_zero_label is not None and self.reduce_zero_label != reduce_zero:
            raise ValueError(
                f"LoadSegMask has reduce_zero_label={self.reduce_zero_label} but the dataset says "
                f"{reduce_zero}: set `reduce_zero_label` at the dataset only."
            )
        table = np.arange(_LABELS_UINT8, dtype=np.uint8)
        if reduce_zero:  # 0 is background without a class: 1 becomes 0, 0 and 255 are ignored
            table = np.where((table == 0) | (table == 255), 255, table - 1).astype(np.uint8)
        if results.get("label_map") is not None:
            mapping = table.copy()
            for old, new in results["label_map"].items():
                mapping[table == old] = new
            table = mapping
        return table[raw.astype(np.uint8)]

    def _check_labels(self, labels: np.ndarray, path: str, results: dict) -> None:
        num_classes = self.num_classes if self.num_classes is not None else results.get("num_classes")
        if num_classes is None:
            return
        counts = np.bincount(labels.ravel(), minlength=_LABELS_UINT8)
        bad = [int(v) for v in np.flatnonzero(counts) if v >= num_classes and v != self.ignore_index]
        if bad:
            source = (
                "`num_classes` of LoadSegMask" if self.num_classes is not None else "`metainfo.classes` of the dataset"
            )
            found = ", ".join(f"{v} ({counts[v]} pixels)" for v in bad[:8])
            raise DataFileError(
                f"The mask {path} holds the labels {found}, outside 0..{num_classes - 1} ({source}) and not "
                f"ignore_index={self.ignore_index}. Correct {source}, set `ignore_index` of LoadSegMask, or "
                "convert the masks."
            )

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}(num_classes={self.num_classes}, ignore_index={self.ignore_index}, "
            f"optional={self.optional}, reduce_zero_label={self.reduce_zero_label})"
        )
