"""Images, labels and confidences as small pictures, and rows of them as one.

Numpy and Pillow: during training a picture takes a few milliseconds, where a matplotlib figure takes half a second.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from matplotlib import colormaps
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

GAP = 6
TITLE_HEIGHT = 22
LEGEND_LINE = 20
INK, FRAME, PAPER = (40, 40, 40), (200, 200, 200), (255, 255, 255)
_CIVIDIS = (np.asarray(colormaps["cividis"](np.arange(256)))[:, :3] * 255).round().astype(np.uint8)


def colour_labels(labels: np.ndarray, palette: Sequence[Sequence[int]], ignore_index: int | None = 255) -> np.ndarray:
    """Colour a label map (H, W) with the RGB of each class: (H, W, 3) uint8.

    ``ignore_index`` is drawn white, also where a class has that number; None: no label is, as in predictions. Labels
    without a colour are white, too.
    """
    colours = np.full((max(256, len(palette), (ignore_index or 0) + 1), 3), 255, np.uint8)
    colours[: len(palette)] = np.asarray(palette, np.uint8)
    if ignore_index is not None:
        colours[ignore_index] = 255
    return colours[labels]


def class_legend(label_maps: Iterable[np.ndarray], meta: Mapping, ignore_index: int = 255) -> dict[str, Sequence[int]]:
    """Name to RGB of the classes that occur in label maps, by the ``classes`` and ``palette`` of a data set."""
    seen = sorted(set().union(*(np.unique(labels).tolist() for labels in label_maps)) - {ignore_index})
    return {meta["classes"][label]: meta["palette"][label] for label in seen if label < len(meta["classes"])}


def colour_confidence(confidence: np.ndarray) -> np.ndarray:
    """Colour numbers (H, W) from 0, dark blue, to 1, yellow, readable without colour vision: (H, W, 3) uint8."""
    return _CIVIDIS[(confidence * 255).round().clip(0, 255).astype(np.uint8)]


def fit(picture: np.ndarray, side: int, smooth: bool) -> np.ndarray:
    """Scale a picture, (H, W, 3) or (H, W) uint8, so that its longer side is ``side``.

    ``smooth`` interpolates; colours of labels must stay those of the palette.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = Image.Resampling.NEAREST if not smooth else Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(picture).resize(size, how))


def join_panels(
    columns: Mapping[str, Sequence[np.ndarray]], legend: Mapping[str, Sequence[int]] | None = None
) -> np.ndarray:
    """Put columns of pictures into one picture, with a title over each and a legend below.

    Pictures are (H, W, 3) uint8, of any sizes and numbers; the legend has the RGB of classes.
    """
    legend = legend or {}
    shapes = [picture.shape[:2] for pictures in columns.values() for picture in pictures]
    height, width = (max(sides) for sides in zip(*shapes, strict=True))
    total = len(columns) * (width + GAP) + GAP
    places, bottom = _place_legend(list(legend), total)
    below = TITLE_HEIGHT + max(map(len, columns.values())) * (height + GAP)
    canvas = Image.new("RGB", (total, below + bottom), PAPER)
    draw = ImageDraw.Draw(canvas)
    for column, (title, pictures) in enumerate(columns.items()):
        left = GAP + column * (width + GAP)
        draw.text((left + width // 2, TITLE_HEIGHT // 2), title, fill=INK, font=_font(13), anchor="mm")
        for row, picture in enumerate(pictures):
            top = TITLE_HEIGHT + row * (height + GAP)
            canvas.paste(Image.fromarray(picture), (left, top))
            right, end = left + picture.shape[1], top + picture.shape[0]
            draw.rectangle((left - 1, top - 1, right, end), outline=FRAME)  # around, not over
    for (name, colour), (x, y) in zip(legend.items(), places, strict=True):
        draw.rectangle((x, below + y + 4, x + 11, below + y + 15), fill=tuple(map(int, colour)), outline=INK)
        draw.text((x + 16, below + y + 10), name, fill=INK, font=_font(12), anchor="lm")
    return np.asarray(canvas)


def _place_legend(names: Sequence[str], width: int) -> tuple[list[tuple[int, int]], int]:
    """Top left corner of each entry, wrapped at ``width``, and the height of all."""
    places, x, y = [], GAP, 0
    for name in names:
        needed = 16 + round(_font(12).getlength(name)) + 12
        if x > GAP and x + needed > width:
            x, y = GAP, y + LEGEND_LINE
        places.append((x, y))
        x += needed
    return places, y + LEGEND_LINE + 2 if names else 0


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont("DejaVu Sans"), size)  # comes with matplotlib
