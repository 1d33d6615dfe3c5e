"""What a file says about itself before it is decoded: format, size, orientation, and whether it is all there."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import mmengine.fileio as fileio
import numpy as np
from PIL import Image

_ORIENTATION = 0x0112  # tag of EXIF and TIFF
_BITS_PER_SAMPLE = 258  # tag of TIFF
_SAMPLES_PER_PIXEL = 277  # tag of TIFF
_SUBFILE_TYPE = 254  # tag of TIFF; bit 0: a smaller copy, bit 2: a mask
_LARGEST_FILE = 2**31  # bytes; more than the largest picture that Pillow agrees to open needs uncompressed
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # no stuffed byte, restart marker or fill byte
_SUFFIX_TWICE = re.compile(r"\.(jpe?g|png|bmp|tiff?|webp)[^.]*\.\w+$", re.IGNORECASE)  # a.png.png, a.jpg_mask.png
_PNG_START = b"\x89PNG\r\n\x1a\n"
# left-right, up-down, transpose: what turns the stored pixels into what a viewer shows
_TURNS = {1: "", 2: "h", 3: "hv", 4: "v", 5: "t", 6: "th", 7: "thv", 8: "tv"}
_INVERSE = {6: 8, 8: 6}  # all others undo themselves


class DataFileError(ValueError):
    """A file of the data set cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class Header:
    """What is known of a picture before it is decoded.

    Attributes:
        format: Pillow's name of the format, such as 'JPEG'.
        mode: Pillow's mode, such as 'RGB', 'P', 'I;16'.
        orientation: 1 to 8 as in EXIF; 1 where nothing (or nonsense) is said.
        bits: Bits of a grey value as stored; 8 where Pillow does not widen them.
    """

    format: str
    mode: str
    orientation: int = 1
    bits: int = 8


def read_bytes(path: str, what: str, key: str, backend_args: dict | None) -> bytes:
    """Reads a whole file.

    Args:
        path: Where the file is.
        what: 'image' or 'mask', for the message.
        key: The config keys that decide about the path, for the message.
        backend_args: As in mmengine's fileio.

    Returns:
        The content, never empty.

    Raises:
        DataFileError: If the file is missing, unreadable, empty, enormous or no ordinary file.
    """
    try:
        _require_ordinary(path, what)
        content = fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as error:
        raise DataFileError(
            f"The {what} {path} does not exist{explain_missing(path)}. Check {key} of the dataset."
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, DataFileError):
            raise
        raise DataFileError(
            f"The {what} {path} cannot be read ({error}). Check that it is a file you may read."
        ) from error
    if not content:
        raise DataFileError(
            f"The {what} {path} is empty (0 bytes). Copy or download it again, or take it off the list."
        )
    return content


def explain_missing(path: str) -> str:
    """Why a file may be missing, in brackets; empty where nothing is known.

    Args:
        path: Of the missing file.

    Returns:
        The end of a sentence.
    """
    if os.path.islink(path):
        return f" (it is a link to {os.readlink(path)}, which is not there)"
    name = os.path.basename(path)
    if _SUFFIX_TWICE.search(name):
        return " (does the id end in a suffix? Lists hold ids without the suffix)"
    # a suffix alone: .jpg, or _leftImg8bit.png
    return " (is a line of the list blank?)" if name.startswith((".", "_")) else ""


def _require_ordinary(path: str, what: str) -> None:
    """Reading a pipe or a device never ends; paths of other storage are not there for ``os.stat``."""
    try:
        found = os.stat(path)
    except OSError:
        return
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, socket or device"
        raise DataFileError(f"The {what} {path} cannot be read: it is {kind}. Check that it is a file you may read.")
    if found.st_size > _LARGEST_FILE:
        raise DataFileError(f"The {what} {path} has {found.st_size / 2**30:.1f} GiB: cut it into tiles first.")


def read_header(content: bytes, path: str, what: str) -> Header:
    """Reads what a file says about itself; nothing is decoded.

    Args:
        content: The whole file.
        path: For the message.
        what: 'image' or 'mask', for the message.

    Returns:
        Format, mode, orientation and bits.

    Raises:
        DataFileError: If it is no picture, ends too early, or declares more pixels than Pillow agrees to open.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            header = Header(image.format or "", image.mode, _orientation(image, content), _bits(image, content))
    except Image.DecompressionBombError as error:
        raise DataFileError(
            f"The {what} {path} ({len(content)} bytes) is too large to be decoded: {error} Cut it into tiles first; "
            "if it is not that large, the file is damaged: take it off the list."
        ) from error
    except Exception as error:  # every format of Pillow raises its own kind of exception
        raise undecodable(path, what, content, str(error)) from error
    if not is_complete(content):
        raise undecodable(path, what, content, "it ends before its end marker")
    return header


def undecodable(path: str, what: str, content: bytes, reason: str = "") -> DataFileError:
    """The error for a file that is there but is no picture.

    Args:
        path: The file.
        what: 'image' or 'mask'.
        content: The whole file.
        reason: What the decoder says.

    Returns:
        The exception, to be raised.
    """
    return DataFileError(
        f"The {what} {path} ({len(content)} bytes) cannot be decoded{': ' if reason else ''}{reason}. It is damaged "
        "or not an image: copy, create or download it again, or take it off the list."
    )


def is_complete(content: bytes) -> bool:
    """Whether a JPEG or PNG has its end marker; other formats count as complete (their decoders notice).

    Args:
        content: The whole file; what follows the end marker, such as the film of a motion photo, does not count.

    Returns:
        False where the end of the file is missing.
    """
    if content.startswith(b"\xff\xd8"):
        return _has_jpeg_end(content)
    if content.startswith(_PNG_START):
        return b"IEND" in content
    return True


def _has_jpeg_end(content: bytes) -> bool:
    place = 2
    while (found := _JPEG_MARKER.search(content, place)) is not None:
        marker, place = found[1], found.end()
        if marker == b"\xd9":
            return True
        if marker == b"\xda":  # from the first scan on only the end looks like it; from the back it is found at once
            return content.rfind(b"\xff\xd9", place) >= 0
        if marker not in b"\x01\xd8":  # all others have a length, and a thumbnail inside is thereby passed over
            place += int.from_bytes(content[place : place + 2], "big")
    return False


def _orientation(image: Image.Image, content: bytes) -> int:
    try:
        if image.format == "TIFF":
            value = image.tag_v2.get(_ORIENTATION, 1)
        elif image.format == "PNG" and not any(name in content for name in (b"eXIf", b"exif", b"Orientation")):
            value = 1  # Pillow decodes a whole PNG to look for it
        else:
            value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data says nothing, and the pixels may be well
        value = 1
    return value if value in _TURNS else 1


def _bits(image: Image.Image, content: bytes) -> int:
    """Pillow widens grey values of 2 and 4 bits to the full range, 1 becoming 85 or 17."""
    if image.mode != "L":
        return 8
    if image.format == "PNG":
        return content[24]
    if image.format == "TIFF":
        return int(image.tag_v2.get(_BITS_PER_SAMPLE, (8,))[0])
    return 8


def count_pages(content: bytes) -> int:
    """Pages of a TIFF, frames of an animation; most loaders read the first.

    Args:
        content: A whole file that can be decoded.

    Returns:
        Their number, without the smaller copies and masks that a TIFF may hold; 1 for all photographs.
    """
    try:
        if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return sum(not kind & 5 for kind in _iter_subfile_types(content))
        with Image.open(io.BytesIO(content)) as image:
            return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception:  # damage behind the first page, which is well
        return 1


def count_channels(content: bytes) -> int:
    """Channels that a file holds; Pillow opens some TIFFs as if they had less.

    Args:
        content: A whole file that can be decoded.

    Returns:
        Their number; 3 for CMYK, of which decoders make RGB.
    """
    with Image.open(io.BytesIO(content)) as image:
        if image.mode == "CMYK":
            return 3
        if image.format == "TIFF":
            return int(image.tag_v2.get(_SAMPLES_PER_PIXEL, 1))
        return len(image.getbands())


def _iter_subfile_types(content: bytes) -> Iterator[int]:
    """NewSubfileType of each page of a TIFF or BigTIFF, by its directories: Pillow cannot open every kind of page."""
    order = "<" if content.startswith(b"II") else ">"
    # formats of the number of entries, of an entry (tag, type, count, value) and of a place in the file
    count, entry, place, start = ("Q", "HHQI4x", "Q", 8) if b"+" in content[2:4] else ("H", "HHII", "I", 4)
    seen = {0}
    (directory,) = struct.unpack_from(order + place, content, start)
    while directory not in seen:
        seen.add(directory)
        (entries,) = struct.unpack_from(order + count, content, directory)
        begin = directory + struct.calcsize(order + count)
        end = begin + entries * struct.calcsize(order + entry)
        tags = {tag: value for tag, _, _, value in struct.iter_unpack(order + entry, content[begin:end])}
        yield tags.get(_SUBFILE_TYPE, 0)
        (directory,) = struct.unpack_from(order + place, content, end)


def turn(pixels: np.ndarray, orientation: int, back: bool = False) -> np.ndarray:
    """Turns stored pixels into what a viewer shows.

    Args:
        pixels: (H, W) or (H, W, C).
        orientation: 1 to 8 as in EXIF.
        back: From what is shown to what is stored. Default: False.

    Returns:
        The turned pixels, contiguous; (W, H, ...) where orientation is 5 or more.
    """
    for step in _TURNS[_INVERSE.get(orientation, orientation) if back else orientation]:
        pixels = np.swapaxes(pixels, 0, 1) if step == "t" else np.flip(pixels, 1 if step == "h" else 0)
    return np.ascontiguousarray(pixels)
