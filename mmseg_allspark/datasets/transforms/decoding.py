"""What a file says about itself before it is decoded, and errors that name the file and the remedy."""

from __future__ import annotations

import io
import os
import re
from typing import NamedTuple

import mmengine.fileio as fileio
import numpy as np
from PIL import Image

_ORIENTATION = 0x0112  # tag of EXIF and TIFF
_LARGEST_FILE = 2**31  # bytes; only an uncompressed picture larger than Pillow agrees to open needs more
_SUFFIX_TWICE = re.compile(r"\.(jpe?g|png|bmp|tiff?|webp)[^.]*\.\w+$", re.IGNORECASE)  # a.png.png, a.jpg_mask.png
_END_MARKERS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND"}  # by how JPEG and PNG begin; other decoders notice
# left-right, up-down, transpose: what turns the stored pixels into what a viewer shows
_TURNS = {1: "", 2: "h", 3: "hv", 4: "v", 5: "t", 6: "th", 7: "thv", 8: "tv"}


class DataFileError(ValueError):
    """A file of the data set cannot be used; the message names the file and the remedy.

    Args:
        message: Both of them.
        kind: 'missing', 'unreadable', 'truncated', 'pairing' (no mask is named), 'size' or 'labels'.
    """

    def __init__(self, message: str, kind: str = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


class Header(NamedTuple):
    """What is known of a picture before it is decoded."""

    format: str  # Pillow's name, such as 'JPEG'
    mode: str  # Pillow's, such as 'RGB', 'P', 'I;16'
    stored: str = ""  # how pixels are stored in Pillow's words, such as 'L;4' for grey values of 4 bits
    orientation: int = 1  # 1 to 8 as in EXIF; 1 where nothing (or nonsense) is said


def read_bytes(path: str, what: str, key: str, backend_args: dict | None) -> bytes:
    """Reads a whole file; one that is missing, unreadable, enormous or no ordinary file is a ``DataFileError``.

    Args:
        path: Where the file is.
        what: 'image' or 'mask', for the message.
        key: The config keys that decide about the path, for the message.
        backend_args: As in mmengine's fileio.
    """
    try:
        # reading a pipe or a device never ends
        if os.path.exists(path) and not (os.path.isfile(path) and os.path.getsize(path) <= _LARGEST_FILE):
            raise OSError("it is a folder, pipe or device, or has more than 2 GiB")
        return fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as error:
        raise missing_file(path, what, key) from error
    except (OSError, ValueError) as error:
        raise DataFileError(
            f"The {what} {path} cannot be read ({error}). Check that it is a file you may read."
        ) from error


def missing_file(path: str, what: str, key: str) -> DataFileError:
    """The error for a file that is not there; arguments as in :func:`read_bytes`."""
    name, why = os.path.basename(path), ""
    if os.path.islink(path):
        why = f" (it is a link to {os.readlink(path)}, which is not there)"
    elif _SUFFIX_TWICE.search(name):
        why = " (does the id end in a suffix? Lists hold ids without the suffix)"
    elif name.startswith((".", "_")):  # a suffix alone: .jpg, or _leftImg8bit.png
        why = " (is a line of the list blank?)"
    return DataFileError(f"The {what} {path} does not exist{why}. Check {key} of the dataset.", "missing")


def undecodable(path: str, what: str, content: bytes, reason: object, kind: str = "unreadable") -> DataFileError:
    """The error for a file that is there but is no picture; ``reason`` is what the decoder says."""
    return DataFileError(
        f"The {what} {path} ({len(content)} bytes) cannot be decoded: {reason}. It is damaged, too large or not an "
        "image: copy, create or download it again, cut it into tiles, or take it off the list.",
        kind,
    )


def read_header(content: bytes, path: str, what: str) -> Header:
    """Reads what a file says about itself; nothing is decoded.

    It is a ``DataFileError`` if it is no picture, ends too early, or declares more pixels than Pillow agrees to open.
    """
    if not content:
        raise undecodable(path, what, content, "it is empty", "truncated")
    marker = next((end for start, end in _END_MARKERS.items() if content.startswith(start)), b"")
    place = 0
    try:
        with Image.open(io.BytesIO(content)) as image:
            if marker:  # a JPEG has been read up to its first scan, behind thumbnails with an end marker of their own
                place = image.fp.tell()
            layout = image.tile[0][3] if image.tile else ""
            stored = layout if isinstance(layout, str) else str(layout[0])
            header, fault = Header(image.format or "", image.mode, stored, _orientation(image, content)), None
    except Exception as error:  # every format of Pillow raises its own kind of exception
        header, fault = None, error
    # what follows the marker, such as the film of a motion photo, does not count
    if content.find(marker, place) < 0:
        raise undecodable(path, what, content, "it ends before its end marker", "truncated") from fault
    if header is None:
        raise undecodable(path, what, content, fault) from fault
    return header


def _orientation(image: Image.Image, content: bytes) -> int:
    if image.format == "PNG" and b"eXIf" not in content:
        return 1  # Pillow decodes a whole PNG to look for it
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data says nothing, and the pixels may be well
        return 1
    return value if value in _TURNS else 1


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns stored pixels, (H, W) or (H, W, C), into what a viewer shows; the orientation is 1 to 8 as in EXIF."""
    for step in _TURNS[orientation]:
        pixels = np.swapaxes(pixels, 0, 1) if step == "t" else np.flip(pixels, 1 if step == "h" else 0)
    return np.ascontiguousarray(pixels)
