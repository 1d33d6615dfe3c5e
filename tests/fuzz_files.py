"""Image and mask files, whole and broken, as hypothesis draws them."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from PIL import Image, ImageOps

LABELS = 5
SIDES = st.sampled_from([1, 2, 3, 7, 16, 33, 64])
IMAGE_KINDS = {  # name: (Pillow's format, mode, options)
    "jpeg": ("JPEG", "RGB", {}),
    "jpeg progressive": ("JPEG", "RGB", dict(progressive=True, quality=95)),
    "jpeg grey": ("JPEG", "L", {}),
    "jpeg cmyk": ("JPEG", "CMYK", {}),
    "png": ("PNG", "RGB", {}),
    "png grey": ("PNG", "L", {}),
    "png palette": ("PNG", "P", {}),
    "png 1 bit": ("PNG", "1", {}),
    "png alpha": ("PNG", "RGBA", {}),
    "png grey alpha": ("PNG", "LA", {}),
    "png 16 bit": ("PNG", "I;16", {}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff lzw": ("TIFF", "RGB", dict(compression="tiff_lzw")),
    "tiff alpha": ("TIFF", "RGBA", {}),
    "tiff cmyk": ("TIFF", "CMYK", {}),
    "tiff 16 bit": ("TIFF", "I;16", {}),
    "tiff float": ("TIFF", "F", {}),
    "bmp": ("BMP", "RGB", {}),
    "webp": ("WEBP", "RGB", {}),
    "gif": ("GIF", "P", {}),
    "gif animated": ("GIF", "P", dict(save_all=True)),
    "png animated": ("PNG", "RGB", dict(save_all=True)),
}
MASK_KINDS = {
    "png grey": ("PNG", "L", {}),
    "png palette": ("PNG", "P", {}),
    "png 16 bit": ("PNG", "I;16", {}),
    "png 4 bit grey": ("PNG", "L4", {}),
    "png 2 bit grey": ("PNG", "L2", {}),
    "png 1 bit": ("PNG", "1", {}),
    "png alpha": ("PNG", "LA", {}),
    "png rgb": ("PNG", "RGB", {}),
    "png rgba": ("PNG", "RGBA", {}),
    "tiff": ("TIFF", "L", {}),
    "tiff lzw": ("TIFF", "L", dict(compression="tiff_lzw")),
    "tiff int32": ("TIFF", "I", {}),
    "tiff float": ("TIFF", "F", {}),
    "bmp": ("BMP", "L", {}),
    "bmp palette": ("BMP", "P", {}),
    "gif": ("GIF", "P", {}),
    "gif animated": ("GIF", "P", dict(save_all=True)),
    "pgm": ("PPM", "L", {}),
    "jpeg": ("JPEG", "L", dict(quality=100)),
    "webp": ("WEBP", "RGB", {}),
}
DAMAGES = ("none", "truncated", "flipped", "zeroed", "noise", "appended", "empty", "bomb")
SUFFIXES = (".png", ".jpg", ".tif", ".bmp")


@dataclass
class File:
    """A file to be written, and what is true of it."""

    kind: str
    damage: str
    content: bytes
    pixels: np.ndarray  # what was encoded
    orientation: int = 1
    suffix: str = ".png"


def png_bytes(width: int, height: int, bits: int, rows: bytes) -> bytes:
    """A grey PNG of what Pillow cannot write: few bits, or fewer rows than it declares."""
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def _few_bits(pixels: np.ndarray, bits: int) -> bytes:
    height, width = pixels.shape
    digits = ((pixels[..., None] >> np.arange(bits)[::-1]) & 1).reshape(height, width * bits).astype(np.uint8)
    return png_bytes(width, height, bits, b"".join(b"\0" + row.tobytes() for row in np.packbits(digits, axis=1)))


def encode(pixels: np.ndarray, form: str, mode: str, options: dict, orientation: int = 1) -> bytes:
    """Write pixels (H, W) or (H, W, 3) in a format and mode."""
    if mode in ("L2", "L4"):
        return _few_bits(pixels, int(mode[1]))
    if mode == "P" and pixels.ndim == 2:
        image = Image.fromarray(pixels, "P")
        image.putpalette(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    elif mode == "I;16":
        image = Image.fromarray(pixels.astype(np.uint16))
    elif mode == "1" and pixels.ndim == 2:
        image = Image.fromarray(pixels.astype(bool))
    elif mode == "RGBA" and pixels.ndim == 3:
        image = Image.fromarray(np.dstack([pixels, pixels[..., 0]]))
    else:
        image = Image.fromarray(pixels).convert(mode)
    options = dict(options)
    if "save_all" in options:
        options["append_images"] = [ImageOps.invert(image.convert("RGB")).convert(image.mode)]
    if orientation != 1:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _damage(draw: st.DrawFn, content: bytes, damage: str) -> bytes:
    place = draw(st.integers(0, len(content) - 1))
    if damage == "truncated":
        return content[:place]
    if damage == "flipped":
        mutable = bytearray(content)
        for _ in range(draw(st.integers(1, 4))):
            mutable[draw(st.integers(0, len(content) - 1))] ^= 1 << draw(st.integers(0, 7))
        return bytes(mutable)
    if damage == "zeroed":
        return content[:place] + bytes(len(content) - place)
    if damage == "noise":
        return draw(st.binary(min_size=1, max_size=300))
    if damage == "appended":
        return content + draw(st.binary(min_size=1, max_size=50))
    if damage == "bomb":
        side = draw(st.sampled_from([20_000, 100_000, 2**31 - 1]))  # declared in some hundred bytes
        return png_bytes(side, side, 8, bytes(10000))
    return b"" if damage == "empty" else content


@st.composite
def image_files(draw: st.DrawFn, kind: str | None = None, shape: tuple | None = None) -> File:
    """An image of any kind, size, orientation and damage; of a given shape it is whole and upright."""
    kind = kind or draw(st.sampled_from(sorted(IMAGE_KINDS)))
    damage = "none" if shape else draw(st.sampled_from(("none", *DAMAGES)))
    height, width = shape or (draw(SIDES), draw(SIDES))
    form, mode, options = IMAGE_KINDS[kind]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    small = rng.integers(0, 256, ((height + 7) // 8, (width + 7) // 8, 3), dtype=np.uint8)
    pixels = np.kron(small, np.ones((8, 8, 1), np.uint8))[:height, :width]
    if mode in ("I;16", "F"):
        pixels = pixels[..., 0] * np.uint16(257) if mode == "I;16" else pixels[..., 0].astype(np.float32)
    turnable = form in ("JPEG", "PNG", "TIFF", "WEBP") and "animated" not in kind
    orientation = draw(st.integers(1, 8)) if turnable and not shape and draw(st.booleans()) else 1
    whole = encode(pixels, form, mode, options, orientation)
    content = _damage(draw, whole, damage)
    return File(kind, damage, content, pixels, orientation, draw(st.sampled_from(SUFFIXES)))


@st.composite
def mask_files(draw: st.DrawFn, kind: str | None = None, shape: tuple | None = None) -> File:
    """A mask of any kind and damage, whole if the shape is given; its labels may be out of range."""
    kind = kind or draw(st.sampled_from(sorted(MASK_KINDS)))
    damage = "none" if shape else draw(st.sampled_from(("none", *DAMAGES)))
    form, mode, options = MASK_KINDS[kind]
    highest = {"1": 1, "L2": 3, "L4": 15, "I;16": 65535, "I": 65535}.get(mode, 255)
    top = min(highest, draw(st.sampled_from([1, 3, LABELS - 1, LABELS - 1, 255, LABELS, 15, 254, 256, 300, 65535])))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    shape = shape or (draw(SIDES), draw(SIDES))
    pixels = rng.integers(0, min(top, LABELS - 1) + 1, shape)
    pixels[0, 0] = top
    kinds = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
    pixels = pixels.astype(kinds.get(mode, np.uint8))
    if mode == "F" and draw(st.booleans()):
        pixels[0, 0] = draw(st.sampled_from([0.5, -1.0, np.nan, np.inf, 1e9, 300.0]))
    whole = encode(pixels, form, mode, options)
    return File(kind, damage, _damage(draw, whole, damage), pixels, 1, draw(st.sampled_from(SUFFIXES)))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[File, File]:
    """An image and a mask, mostly of one size."""
    shape = (draw(SIDES), draw(SIDES))
    if draw(st.integers(0, 3)):
        return draw(image_files(shape=shape)), draw(mask_files(shape=shape))
    return draw(image_files()), draw(mask_files())
