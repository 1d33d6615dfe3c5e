"""Loading of images and masks, with errors that name the file and what to do about it."""

from __future__ import annotations

import logging
from typing import Literal

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS

from mmseg_allspark.utils.checks import check_types

from .decoding import DataFileError, Header, read_bytes, read_header, turn, undecodable
from .mask_decoding import decode_mask, to_uint8

IMAGE_KEYS = "`data_root`, `data_prefix.img_path`, `img_suffix` and `ann_file`"
MASK_KEYS = "`data_root`, `data_prefix.seg_map_path`, `seg_map_suffix` and `ann_file`"
_FIRST_VERDICT = 20  # images read before their share of unreadable ones means anything


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` with errors that name the file and the remedy.

    An image is turned as its EXIF data say, whatever decodes it, unless ``color_type`` is 'unchanged' or ends in
    '_ignore_orientation'; a TIFF is always turned. ``LoadSegMask`` sees to it that the mask fits.

    Args:
        *args: As in ``LoadImageFromFile``.
        unreadable: What to do with an image that is missing or cannot be decoded. 'stop': raise. 'skip': say so once
            a file, give None, whereupon the data set takes another image, and raise only when more than half of at
            least 20 images read could not be (for unlabeled images). None (default): 'skip' for the unlabeled
            images of a training, else 'stop'.
        **kwargs: As in ``LoadImageFromFile``; ``ignore_empty`` keeps its meaning (skip and say nothing).

    Required keys: ``img_path``. Added keys: ``img`` (H, W, 3) uint8 BGR, ``img_shape``, ``ori_shape``, and, where
    the file asks to be turned, ``exif_orientation`` (2 to 8) and ``img_turned`` (whether it was).
    """

    @check_types
    def __init__(self, *args: object, unreadable: Literal["stop", "skip"] | None = None, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        if self.file_client_args is not None:
            raise ValueError("LoadImage does not know file_client_args; give backend_args instead.")
        self.unreadable = unreadable
        self._num_read = self._num_unreadable = 0  # of this process
        self._named: set[str] = set()

    def transform(self, results: dict) -> dict | None:
        """Loads the image of ``img_path``; None where it cannot be loaded and is to be skipped."""
        path = str(results["img_path"])
        self._num_read += 1
        try:
            return self.decode_into(results, read_bytes(path, "image", IMAGE_KEYS, self.backend_args))
        except DataFileError as error:
            if self.ignore_empty:
                return None
            if self.unreadable != "skip":
                raise
            self._skip(path, error)
            return None

    def decode_into(self, results: dict, content: bytes) -> dict:
        """Decodes the content of the file ``img_path`` into a sample, which gains the keys named above."""
        path = str(results["img_path"])
        header = Header("TIFF", "") if self.imdecode_backend == "tifffile" else read_header(content, path, "image")
        image = self._decode(content, header, path)
        if header.orientation != 1:
            results.update(exif_orientation=header.orientation, img_turned=header.format == "TIFF")
            if header.format != "TIFF" and self.color_type in ("color", "grayscale"):
                image, results["img_turned"] = turn(image, header.orientation), True
        results["img"] = image.astype(np.float32) if self.to_float32 else image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results

    def _decode(self, content: bytes, header: Header, path: str) -> np.ndarray:
        """Pixels as stored, of a TIFF as shown."""
        backend, flag, mode = self.imdecode_backend, self.color_type, header.mode
        is_turned_tiff, is_deep = header.format == "TIFF" and header.orientation != 1, mode.startswith("I;16")
        # no decoder brings 32 bit to 8 bit without cutting values off
        if flag != "unchanged" and (mode in ("I", "F") or (is_deep and is_turned_tiff)):
            reason = f"mode {mode}, orientation {header.orientation}: convert it to 8 bit without orientation"
            raise undecodable(path, "image", content, reason)
        if is_turned_tiff or (header.format == "TIFF" and mode == "RGBA"):
            backend = "pillow"  # OpenCV multiplies colours with the alpha channel
        elif is_deep:
            backend = "cv2"  # Pillow cuts 16 bit off at 255
        if flag in ("color", "grayscale") and backend != "turbojpeg":
            flag += "_ignore_orientation"
        try:
            image = mmcv.imfrombytes(content, flag=flag, backend=backend)
        except Exception as error:  # every decoder raises its own kind of exception
            raise undecodable(path, "image", content, error) from error
        if image is None or image.size == 0:
            raise undecodable(path, "image", content, "the decoder gives nothing")
        return image

    def _skip(self, path: str, error: DataFileError) -> None:
        """Counts an image that cannot be used and names it once; raises where most could not be used."""
        self._num_unreadable += 1
        if self._num_read >= _FIRST_VERDICT and 2 * self._num_unreadable > self._num_read:
            raise DataFileError(
                f"{self._num_unreadable} of the {self._num_read} unlabeled images read by this process could not be "
                f"used, the last: {error} Look at all with tools/prepare/check_data.py CONFIG."
            ) from error
        if path not in self._named:
            self._named.add(path)
            print_log(
                f"Skipped, another image takes its place ({self._num_unreadable} of {self._num_read} read by this "
                f"process): {error} To stop instead: unreadable='stop'.",
                logger="current",
                level=logging.WARNING if is_main_process() else logging.ERROR,  # other ranks log nothing less
            )


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
        drawn_on: Where EXIF data turn an image: 'shown', masks belong to the turned image, or 'stored', to the pixels
            as stored (the mask is then turned as well). None (default): the size decides where it can, else an error.
        **kwargs: As in ``LoadAnnotations`` (``reduce_zero_label``, ``backend_args``; ``imdecode_backend`` makes no
            difference: masks are decoded by Pillow, which leaves palettes alone).

    A bare image (inference: no data set has given it ``seg_fields``) passes through unchanged.

    Required keys: ``seg_map_path`` (unless optional). Added keys: ``gt_seg_map`` (H, W) uint8.
    """

    @check_types
    def __init__(
        self,
        num_classes: int | None = None,
        ignore_index: int = 255,
        optional: bool = False,
        drawn_on: Literal["shown", "stored"] | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.drawn_on = drawn_on
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
        results["gt_seg_map"] = self.read_labels(results)
        results["seg_fields"].append("gt_seg_map")

    def read_labels(self, results: dict) -> np.ndarray:
        """Reads the mask of a sample, labels (H, W) uint8 as trained on; a loaded image has to be of its size."""
        if results.get("seg_map_path") is None:
            raise DataFileError(
                f"No mask is known for the image {results.get('img_path')}: give `data_prefix.seg_map_path` "
                "of the dataset, or, for unlabeled data, LoadSegMask(optional=True).",
                "pairing",
            )
        path = str(results["seg_map_path"])
        mask = decode_mask(read_bytes(path, "mask", MASK_KEYS, self.backend_args), path)
        if results.get("img_turned") and self._belongs_to_stored(mask, path, results):
            mask = turn(mask, results["exif_orientation"])
        # ori_shape and not img_shape: mmseg's test pipelines load masks after the image was resized
        expected = results.get("ori_shape")
        if expected is not None and tuple(expected[:2]) != mask.shape:
            raise DataFileError(
                f"The mask {path} is {mask.shape[1]}x{mask.shape[0]} (width x height) but its image "
                f"{results.get('img_path')} is {expected[1]}x{expected[0]}. Pair them right (`img_suffix`, "
                "`seg_map_suffix`) or resize one. If the EXIF data of the image turn it, "
                "LoadSegMask(drawn_on='shown' or 'stored') says what the mask was drawn on.",
                "size",
            )
        labels = self._to_train_ids(to_uint8(mask, path), results)
        self._check_labels(labels, path, results)
        return labels

    def _belongs_to_stored(self, mask: np.ndarray, path: str, results: dict) -> bool:
        """Whether a mask was drawn on an image as it is stored, and not as its EXIF data turns it."""
        if self.drawn_on is not None:
            return self.drawn_on == "stored"
        height, width = results["ori_shape"][:2]
        orientation = results["exif_orientation"]
        if orientation >= 5 and height != width:
            return mask.shape == (width, height)
        raise DataFileError(
            f"The EXIF data of the image {results.get('img_path')} turn it (orientation {orientation}), and the size "
            f"of its mask {path} does not tell whether it was drawn on the turned image. If it was, as in most "
            "labeling tools, set LoadSegMask(drawn_on='shown'); if it fits the pixels as stored, drawn_on='stored'."
        )

    def _to_train_ids(self, mask: np.ndarray, results: dict) -> np.ndarray:
        reduce_zero = results.get("reduce_zero_label", False)
        if self.reduce_zero_label is not None and self.reduce_zero_label != reduce_zero:
            raise ValueError(
                f"LoadSegMask has reduce_zero_label={self.reduce_zero_label} but the dataset says "
                f"{reduce_zero}: set `reduce_zero_label` at the dataset only."
            )
        table = np.arange(256)
        if reduce_zero:  # 0 is background without a class: 1 becomes 0, 0 and 255 are ignored
            table = np.where((table == 0) | (table == 255), 255, table - 1)
        mapped = dict(results.get("label_map") or {})
        return np.array([mapped.get(int(label), label) for label in table], dtype=np.uint8)[mask]

    def _check_labels(self, labels: np.ndarray, path: str, results: dict) -> None:
        own = self.num_classes is not None
        num_classes = self.num_classes if own else results.get("num_classes")
        if num_classes is None:
            return
        counts = np.bincount(labels.ravel(), minlength=256)
        bad = [int(v) for v in np.flatnonzero(counts) if v >= num_classes and v != self.ignore_index]
        if bad:
            source = "`num_classes` of LoadSegMask" if own else "`metainfo.classes` of the dataset"
            found = ", ".join(f"{v} ({counts[v]} pixels)" for v in bad[:8])
            raise DataFileError(
                f"The mask {path} holds the labels {found}, outside 0..{num_classes - 1} ({source}) and not "
                f"ignore_index={self.ignore_index}. Correct {source}, set `ignore_index` of LoadSegMask, or "
                "convert the masks.",
                "labels",
            )
