"""Mask files to label numbers, exactly as they were written."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image

from .decoding import DataFileError, read_header, undecodable

_EXACT = ("PNG", "TIFF", "BMP", "PPM")  # no GIF: writers renumber its palette
_ONE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_GREYMAP = re.compile(rb"P[25]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s+(255|65535)\s")  # other maxima are stretched
_STRETCHED = {"L;2": 85, "L;4": 17}  # Pillow brings grey values of few bits to the full range


def decode_mask(content: bytes, path: str) -> np.ndarray:
    """Decodes a mask: palette indices and not colours, grey values of few bits and not their stretched versions.

    One that is damaged, not one channel in a format that keeps numbers, or asks to be turned is a ``DataFileError``.
    """
    header = read_header(content, path, "mask")
    if header.format not in _EXACT:
        raise DataFileError(
            f"The mask {path} is a {header.format} file, a format that may change label numbers. Write the masks as "
            "PNG from where they were made; converting this file keeps the wrong labels it has."
        )
    if header.format == "PPM" and not _GREYMAP.match(content):
        raise DataFileError(f"The mask {path} is no PGM with maximum 255 or 65535: write it as PNG.")
    if header.mode not in _ONE_CHANNEL:
        raise DataFileError(
            f"The mask {path} has mode {header.mode}: one channel of label numbers is needed. Convert a coloured mask "
            "into label numbers, or drop its alpha channel (one grey or palette PNG) first."
        )
    if header.orientation != 1:
        raise DataFileError(
            f"The mask {path} asks viewers to turn it (orientation {header.orientation}): which pixels of its image "
            "they belong to is not known. Write it without orientation."
        )
    try:
        with Image.open(io.BytesIO(content)) as image:
            frames = getattr(image, "n_frames", 1)
            if frames > 1:
                raise ValueError(f"it has {frames} frames, a mask has one")
            mask = np.array(image)
    except Exception as error:  # every format of Pillow raises its own kind of exception
        raise undecodable(path, "mask", content, error) from error
    return mask // _STRETCHED[header.stored] if header.stored in _STRETCHED else mask


def to_uint8(mask: np.ndarray, path: str) -> np.ndarray:
    """Brings labels (H, W) of any type to mmseg's; one that is no whole number in 0..255 is a ``DataFileError``."""
    if mask.dtype not in (np.uint8, bool):
        with np.errstate(invalid="ignore"):
            wrong = ~((mask >= 0) & (mask <= 255) & (mask == np.floor(mask)))
        if wrong.any():
            raise DataFileError(
                f"The mask {path} holds the labels {np.unique(mask[wrong])[:8].tolist()}: labels have to be whole "
                "numbers in 0..255. Convert the mask to 8 bit.",
                "labels",
            )
    return mask.astype(np.uint8, copy=False)
