"""Label Studio's JSON: polygons, rectangles, ellipses and brush strokes."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse

import numpy as np
from _files import PrepareError

from mmseg_allspark.datasets.unlabeled import IMAGE_SUFFIXES

from .shapes import Export, Fill, box, ellipse, polygon

_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")  # what Label Studio puts in front of the names of uploaded files


def decode_brush(runs: bytes, height: int, width: int) -> np.ndarray:
    """Decode brush strokes, RGBA pixels packed by the format of thi.ng/rle-pack; opaque ones are inside.

    A stream of bits: the number of values (32), the bits of a value less 1 (5), four sizes of lengths less 1 (4 each).
    Then runs: whether one value is repeated (1), which of the four sizes its length has (2), the length less 1, and
    the value, or as many values.
    """
    bits, place = np.unpackbits(np.frombuffer(runs, np.uint8)), 0

    def take(count: int, length: int = 1) -> np.ndarray:
        nonlocal place
        part = bits[place : place + count * length].astype(np.int64).reshape(length, count)
        place += count * length
        return part @ (1 << np.arange(count)[::-1])

    total, bits_of_value = int(take(32)[0]), int(take(5)[0]) + 1
    sizes = [int(take(4)[0]) + 1 for _ in range(4)]
    if total != height * width * 4:
        raise PrepareError(f"A brush stroke has {total} values, the image {width}x{height} needs 4 a pixel.")
    values, done = np.zeros(total, np.uint8), 0
    while done < total:
        repeated = take(1)[0]
        length = int(take(sizes[int(take(2)[0])])[0]) + 1
        values[done : done + length] = take(bits_of_value, 1 if repeated else length)
        done += length
    return values.reshape(height, width, 4)[..., 3]


def _fill(kind: str, value: dict, width: int, height: int) -> Fill | None:
    """Pixels of a shape, whose places are percents of the image; None for points and lines."""

    def scale(x: str, y: str) -> tuple[float, float]:
        return value[x] * width / 100, value[y] * height / 100

    turned = value.get("rotation", 0)
    if kind == "polygonlabels":
        return polygon(np.array(value["points"]) * (width / 100, height / 100))
    if kind == "rectanglelabels":
        corner = scale("x", "y")
        return box(*corner, *scale("width", "height"), turned, corner)
    if kind == "ellipselabels":
        return ellipse(*scale("x", "y"), *scale("radiusX", "radiusY"), turned)
    if kind == "brushlabels":
        return partial(decode_brush, bytes(value["rle"]))
    return None


def _find_name(task: dict) -> str:
    """Name of the image of a task, as its owner knows it."""
    texts = [text for text in task["data"].values() if isinstance(text, str) and "." in text]
    # an address may have a query behind the name, and local files are named in one
    images = (text for text in texts if {*re.findall(r"\.\w+", text.lower())} & {*IMAGE_SUFFIXES})
    address = next(images, texts[0])
    parts = urlparse(address)
    path = parse_qs(parts.query).get("d", [parts.path])[0]  # local files are /data/local-files/?d=PATH
    return _UPLOAD.sub("", unquote(path).rsplit("/", 1)[-1]) if "/upload/" in path else unquote(path)


def read(source: Path, content: list[dict]) -> Export:
    """Read an export; of several annotations of a task the last one that was not cancelled counts."""
    export = Export(source)
    try:
        for task in content:
            valid = [entry for entry in task["annotations"] if not entry.get("was_cancelled")]
            size, shapes = None, []
            for part in valid[-1]["result"] if valid else ():
                kind = part["type"]
                if not kind.endswith("labels"):
                    continue  # the bare geometry, which stands there once more, a choice, or a relation of two shapes
                value = part["value"]
                size = (part["original_width"], part["original_height"])
                shapes += [(name, _fill(kind, value, *size), kind) for name in value[kind][-1:]]
            export.add(_find_name(task), size, shapes)
    except (KeyError, TypeError, IndexError, StopIteration, ValueError) as error:
        raise PrepareError(f"{source} is no whole Label Studio JSON ({error!r}): export it again.") from error
    return export
