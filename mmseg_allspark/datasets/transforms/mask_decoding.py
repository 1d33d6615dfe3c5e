"""Mask files to label numbers, exactly as they were written."""

from __future__ import annotations

import io
import re

import mmcv
import numpy as np
from PIL import Image

from .decoding import DataFileError, Header, read_header, turn, undecodable

_EXACT = ("PNG", "TIFF", "BMP", "PPM")  # no GIF: writers renumber its palette
_ONE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_GREYMAP = re.compile(rb"P[25]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s+(255|65535)\s")  # other maxima are stretched
_LABELS_UINT8 = 256  # mmseg keeps masks as uint8, so a larger label would silently wrap around


def decode_mask(content: bytes, path: str, backend: str | None = None) -> tuple[np.ndarray, int]:
    """Decodes a mask: palette indices and not colours, grey values of few bits and not their stretched versions.

    Args:
        content: The whole file.
        path: For the message.
        backend: 'tifffile' decodes with that package and without looking at the file first; all else is Pillow.

    Returns:
        Labels (H, W) of whatever type as stored, and the orientation (1 to 8) that the file asks viewers for.

    Raises:
        DataFileError: If it is damaged or not one channel in a format that keeps numbers.
    """
    if backend == "tifffile":
        header = Header("TIFF", "L")
    else:
        header = read_header(content, path, "mask")
        _check_format(header, content, path)
    try:
        mask = mmcv.imfrombytes(content, backend=backend) if backend == "tifffile" else _by_pillow(content)
    except Exception as error:  # every decoder raises its own kind of exception
        raise undecodable(path, "mask", content, str(error)) from error
    if mask.ndim == 3 and mask.shape[2] == 1:
        mask = mask[:, :, 0]
    if mask.ndim != 2 or mask.size == 0:
        raise _not_one_channel(path, f"shape {mask.shape}")
    if header.bits in (2, 4):
        mask = mask // (255 // (2**header.bits - 1))
    if header.format == "TIFF" and backend != "tifffile":  # Pillow turns these, and only these, by itself
        mask = turn(mask, header.orientation, back=True)
    return mask, header.orientation


def _by_pillow(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise ValueError(f"it has {frames} frames, a mask has one")
        return np.array(image)


def _check_format(header: Header, content: bytes, path: str) -> None:
    if header.format not in _EXACT:
        raise DataFileError(
            f"The mask {path} is a {header.format} file, a format that may change label numbers. Write the masks as "
            "PNG from where they were made; converting this file keeps the wrong labels it has."
        )
    if header.format == "PPM" and not _GREYMAP.match(content):
        raise DataFileError(f"The mask {path} is no PGM with maximum 255 or 65535: write it as PNG.")
    if header.mode not in _ONE_CHANNEL:
        raise _not_one_channel(path, f"mode {header.mode}")


def _not_one_channel(path: str, found: str) -> DataFileError:
    return DataFileError(
        f"The mask {path} has {found}: one channel of label numbers is needed. Convert a coloured mask into label "
        "numbers, or drop its alpha channel (one grey or palette PNG) first."
    )


def to_uint8(mask: np.ndarray, path: str) -> np.ndarray:
    """Brings labels to mmseg's type without changing one.

    Args:
        mask: Labels (H, W) of any type.
        path: For the message.

    Returns:
        The labels (H, W) uint8.

    Raises:
        DataFileError: If one is no whole number in 0..255.
    """
    if mask.dtype == np.uint8:
        return mask
    with np.errstate(invalid="ignore"):
        wrong = ~((mask >= 0) & (mask < _LABELS_UINT8) & (mask == np.floor(mask))) if mask.dtype != bool else None
    if wrong is not None and wrong.any():
        bad = np.unique(mask[wrong])[:8].tolist()
        raise DataFileError(
            f"The mask {path} holds the labels {bad}: labels have to be whole numbers in 0..255. Convert the mask to "
            "8 bit."
        )
    return mask.astype(np.uint8)
