"""Masks of labels that come as shapes: polygons, boxes, ellipses, brush strokes."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from _files import PrepareError
from _masks import read_size

from .common import IGNORED, Colour, Images, Labels, list_classes, make_palette, number_classes

Fill = Callable[[int, int], np.ndarray]  # of height and width: (H, W), not 0 inside the shape


class LabeledImage(NamedTuple):
    """An image of an export."""

    name: str  # as the export calls it
    size: tuple[int, int] | None  # width and height, as the tool saw them; None where it does not say
    shapes: list[tuple[str, Fill]]  # class and pixels of each; later ones cover earlier ones


@dataclass
class Export:
    """What a label tool wrote."""

    source: Path  # file or folder, for messages
    classes: Sequence[str] = ()  # in the order of the tool; () where it has none, then they are sorted by name
    colours: dict[str, Colour] = field(default_factory=dict)  # of some classes
    images: list[LabeledImage] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)  # kinds of shapes that have no area

    def add(self, name: str, size: tuple[int, int] | None, shapes: Iterable[tuple[str, Fill | None, str]]) -> None:
        """Add an image with its shapes: class, pixels (None for points and lines) and kind of each."""
        shapes = list(shapes)
        self.left_out.update(kind for _, fill, kind in shapes if fill is None)
        self.images.append(LabeledImage(name, size, [(label, fill) for label, fill, _ in shapes if fill is not None]))


def polygon(points: Sequence[Sequence[float]]) -> Fill:
    """Pixels inside a polygon of points (x, y), in pixels."""
    return partial(_fill_polygon, [tuple(map(float, point)) for point in points])


def box(x: float, y: float, width: float, height: float, degrees: float = 0, centre: Sequence[float] = ()) -> Fill:
    """Pixels inside a box, turned clockwise about ``centre`` (default: its own)."""
    cx, cy = centre or (x + width / 2, y + height / 2)
    corners = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)]) - (cx, cy)
    angle = np.deg2rad(degrees)
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    return polygon(corners @ turn + (cx, cy))


def ellipse(cx: float, cy: float, rx: float, ry: float, degrees: float = 0) -> Fill:
    """Pixels inside an ellipse, turned clockwise."""
    angles, tilt = np.linspace(0, 2 * np.pi, 64, endpoint=False), np.deg2rad(degrees)
    x, y = rx * np.cos(angles), ry * np.sin(angles)
    return polygon(
        np.stack([cx + x * np.cos(tilt) - y * np.sin(tilt), cy + x * np.sin(tilt) + y * np.cos(tilt)], axis=1)
    )


def _fill_polygon(points: list[tuple[float, float]], height: int, width: int) -> np.ndarray:
    pixels = np.zeros((height, width), np.uint8)
    corners = np.round(np.array(points) - 0.5).astype(np.int32)  # the centre of the first pixel is at (0.5, 0.5)
    cv2.fillPoly(pixels, [corners], 1)
    return pixels


def patch(left: int, top: int, pixels: np.ndarray) -> Fill:
    """Pixels (h, w) that begin at a place of the image."""
    return partial(_place, left, top, pixels)


def _place(left: int, top: int, pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    whole = np.zeros((height, width), np.uint8)
    part = whole[top : top + pixels.shape[0], left : left + pixels.shape[1]]
    part[:] = pixels[: part.shape[0], : part.shape[1]] != 0
    return whole


def draw_shapes(export: Export, images: Images, options: Namespace) -> Labels:
    """Number the classes of an export and say how to draw the mask of each of its images that has shapes."""
    used = sorted({name for image in export.images for name, _ in image.shapes})
    found, classes = [options.rest, *(() if options.classes else export.classes), *used], options.classes
    if classes and options.rest not in (IGNORED, *classes):
        classes = [options.rest, *classes]
    numbers = number_classes(found, classes, options.ignore)
    draw: dict[Path, Callable[[], np.ndarray]] = {}
    for image in export.images:
        if not image.shapes:
            continue
        path = images.find(image.name)
        if path is None:
            raise PrepareError(f"{export.source} has labels of {image.name}, which is not in {images.folder}.")
        if path in draw:
            raise PrepareError(f"{export.source} labels the image {path} more than once: leave one of them.")
        shapes = [(numbers[name], fill) for name, fill in image.shapes]
        draw[path] = partial(_draw, shapes, image.size, path, numbers[options.rest])
    if not draw:
        raise PrepareError(f"{export.source} holds no shape of any image.")
    notes = [f"{number} shapes of kind {kind} left out: they have no area" for kind, number in export.left_out.items()]
    if bare := len(export.images) - len(draw):
        notes.append(f"{bare} images without a shape in {export.source} count as unlabeled")
    if options.rest != IGNORED:
        notes.append(f"pixels outside all shapes are the class {options.rest}; to leave them out: --rest {IGNORED}")
    return Labels(list_classes(numbers), make_palette(numbers, export.colours), draw, tuple(notes))


def _draw(shapes: list[tuple[int, Fill]], size: tuple[int, int] | None, path: Path, rest: int) -> np.ndarray:
    width, height = size or read_size(path)
    mask = np.full((height, width), rest, np.uint8)
    for number, fill in shapes:
        mask[fill(height, width) != 0] = number
    return mask
