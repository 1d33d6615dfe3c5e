"""Small pictures during training: numpy and Pillow, a few milliseconds each, where a figure takes half a second."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from matplotlib import colormaps
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mmseg_allspark.utils.images import as_8bit

GAP = 6
TITLE_HEIGHT = 22
LEGEND_LINE = 20
INK, FRAME, PAPER = (40, 40, 40), (200, 200, 200), (255, 255, 255)
_CIVIDIS = (np.asarray(colormaps["cividis"](np.arange(256)))[:, :3] * 255).round().astype(np.uint8)


def to_picture(image: Tensor, bgr: bool = True) -> np.ndarray:
    """Turn an image of a batch into a picture.

    Args:
        image: (C, H, W), of any range; see :func:`mmseg_allspark.utils.images.as_8bit`.
        bgr: Whether its first three channels are BGR, as files are loaded. Default True.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    picture = as_8bit(image.permute(1, 2, 0).cpu().numpy())
    return picture[..., ::-1] if bgr else picture


def fit(picture: np.ndarray, side: int, smooth: bool) -> np.ndarray:
    """Scale a picture so that its longer side is ``side``.

    Args:
        picture: (H, W, 3) or (H, W) uint8.
        side: Pixels.
        smooth: Interpolate; False for labels, whose colours must stay those of the palette.

    Returns:
        (h, w, 3) or (h, w) uint8.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = Image.Resampling.NEAREST if not smooth else Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(picture).resize(size, how))


def colour_confidence(confidence: np.ndarray) -> np.ndarray:
    """Colour numbers from 0 (dark blue) to 1 (yellow), readable without colour vision.

    Args:
        confidence: (H, W) in [0, 1].

    Returns:
        (H, W, 3) uint8.
    """
    return _CIVIDIS[(confidence * 255).round().clip(0, 255).astype(np.uint8)]


def join_panels(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    legend: Sequence[tuple[str, Sequence[int]]] = (),
) -> np.ndarray:
    """Put rows of pictures of one size into one, with a title over each column and a legend below.

    Args:
        rows: Each row holds one (H, W, 3) uint8 picture per title.
        titles: One per column.
        legend: Name and RGB of each class in the pictures. Default none.

    Returns:
        (H', W', 3) uint8.
    """
    height, width = rows[0][0].shape[:2]
    total = len(titles) * (width + GAP) + GAP
    places, bottom = _place_legend([name for name, _ in legend], total)
    below = TITLE_HEIGHT + len(rows) * (height + GAP)
    canvas = Image.new("RGB", (total, below + bottom), PAPER)
    draw = ImageDraw.Draw(canvas)
    for column, title in enumerate(titles):
        left = GAP + column * (width + GAP)
        draw.text((left + width // 2, TITLE_HEIGHT // 2), title, fill=INK, font=_font(13), anchor="mm")
        for row, pictures in enumerate(rows):
            top = TITLE_HEIGHT + row * (height + GAP)
            canvas.paste(Image.fromarray(pictures[column]), (left, top))
            draw.rectangle((left - 1, top - 1, left + width, top + height), outline=FRAME)  # around, not over
    for (name, colour), (x, y) in zip(legend, places, strict=True):
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
