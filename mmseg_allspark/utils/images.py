"""Images of any number of channels and any range of values, and colours of classes."""

from collections.abc import Mapping, Sequence
from math import isqrt

import numpy as np
from torch import Tensor, nn

_SAMPLED = 250_000  # pixels that percentiles are taken of: those of 12 megapixels take seconds


def loads_8bit(step: Mapping) -> bool:
    """Return whether a step that loads images always gives uint8.

    Args:
        step: Its settings, such as ``color_type`` and ``imdecode_backend``; mmcv's defaults give uint8.
    """
    return step.get("color_type", "color") != "unchanged" and step.get("imdecode_backend") != "tifffile"


def input_channels(model: nn.Module) -> int:
    """Return the number of channels of the images that a segmentor takes.

    Args:
        model: Its ``backbone`` (or, without one, it itself) begins with a convolution; without any, 3 is returned.
    """
    modules = getattr(model, "backbone", model).modules()
    return next((layer.in_channels for layer in modules if isinstance(layer, nn.Conv2d)), 3)


def as_8bit(image: np.ndarray) -> np.ndarray:
    """Turn an image into one that can be painted.

    Args:
        image: (H, W) or (H, W, C), of any type.

    Returns:
        (H, W, 3) uint8: the first three channels in their order, or the first one three times if there are fewer than
        three. Values between 0 and 255 are kept. If any lies outside, or none is above 1, all are stretched: the 1st
        percentile becomes 0 and the 99th 255 (of a sample of the pixels where there are more than 250 000).
    """
    image = image if image.ndim == 3 else image[..., None]
    image = image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, axis=2)
    if image.dtype == np.uint8:
        return image
    image = image.astype(np.float32)
    finite = image[np.isfinite(image)]
    # half a step more on both sides: normalising and its inverse do not give back the exact value
    if finite.size and not (finite.min() >= -0.5 and 1 < finite.max() < 255.5):
        step = isqrt(image.shape[0] * image.shape[1] // _SAMPLED) + 1
        some = image[::step, ::step]
        some = some[np.isfinite(some)]
        low, high = np.percentile(some if some.size else finite, (1, 99))
        image -= low
        image *= 255 / max(high - low, 1e-6)
    if finite.size < image.size:
        image[np.isnan(image)] = 0
    return image.round(out=image).clip(0, 255, out=image).astype(np.uint8)


def to_picture(image: np.ndarray | Tensor, bgr: bool = True) -> np.ndarray:
    """Turn an image into (H, W, 3) uint8 RGB; see :func:`as_8bit`.

    Args:
        image: (H, W, C) array or (C, H, W) tensor, of any range.
        bgr: Whether its first three channels are BGR, as files are loaded. Default True.
    """
    picture = as_8bit(image.permute(1, 2, 0).cpu().numpy() if isinstance(image, Tensor) else image)
    return picture[..., ::-1] if bgr else picture


def class_palette(palette: Sequence[Sequence[int]] | None, num_classes: int) -> list[list[int]]:
    """RGB of each class: those of a data set, or mmseg's own choice if there is not one for each class."""
    if palette is None or len(palette) != num_classes:
        palette = np.random.RandomState(42).randint(0, 255, size=(num_classes, 3))
    return [[int(value) for value in colour] for colour in palette]
