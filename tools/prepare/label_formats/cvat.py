"""CVAT's format "CVAT for images 1.1": one XML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from _files import PrepareError
from PIL import ImageColor

from .shapes import Export, Fill, box, ellipse, patch, polygon

_SHAPES = ("polygon", "box", "ellipse", "mask", "polyline", "points", "cuboid", "skeleton")


def _fill(kind: str, values: Mapping[str, str]) -> Fill | None:
    """Pixels of a shape, None for points and lines."""

    def numbers(*names: str) -> list[float]:
        return [float(values[name]) for name in names]

    turned = float(values.get("rotation", 0))
    if kind == "polygon":
        return polygon([point.split(",") for point in values["points"].split(";")])
    if kind == "box":
        left, top, right, bottom = numbers("xtl", "ytl", "xbr", "ybr")
        return box(left, top, right - left, bottom - top, turned)
    if kind == "ellipse":
        return ellipse(*numbers("cx", "cy", "rx", "ry"), turned)
    if kind == "mask":  # lengths of runs outside and inside by turns, row by row
        width, height, left, top = map(int, numbers("width", "height", "left", "top"))
        runs = [int(length) for length in values["rle"].split(",")]
        pixels = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8)
        return patch(left, top, pixels.reshape(height, width))
    return None


def read(source: Path) -> Export:
    """Read an export; shapes cover each other in the order of ``z_order``."""
    try:
        root = ElementTree.parse(source).getroot()
        if root.tag != "annotations" or root.find("track") is not None or root.find("image") is None:
            raise PrepareError(f'{source} is not "CVAT for images 1.1": export it in this format, videos too.')
        listed = {label.findtext("name", ""): label.findtext("color") for label in root.iter("label")}
        colours = {name: ImageColor.getrgb(text) for name, text in listed.items() if text}
        export = Export(source, classes=tuple(listed), colours=colours)
        for image in root.iter("image"):
            found = sorted((s for s in image if s.tag in _SHAPES), key=lambda s: int(s.get("z_order", 0)))
            shapes = [(shape.attrib["label"], _fill(shape.tag, shape.attrib), shape.tag) for shape in found]
            export.add(image.attrib["name"], (int(image.attrib["width"]), int(image.attrib["height"])), shapes)
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise PrepareError(f"{source} is no whole file of CVAT ({error!r}): export it again.") from error
    return export
