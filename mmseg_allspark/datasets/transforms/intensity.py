"""AugSeg's random intensity augmentation (CVPR 2023, arXiv 2212.04976), computed with Pillow."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from mmseg_allspark.datasets.transforms.color import _RandomColor, adjust_hue
from mmseg_allspark.utils.checks import PositiveInt, Share, check_types

Operation = Callable[[Image.Image, float], Image.Image]


def _weaken(enhancer: type) -> Operation:
    """Move an image towards what the enhancer takes as zero (grey, black, blurred): the factor is never above 1."""
    return lambda image, strength: enhancer(image).enhance(0.95 - 0.9 * strength)


# A strength lies in [0, 1), that of the hue in (-1, 1). The order is the release's.
OPERATIONS: dict[str, Operation] = {
    "identity": lambda image, strength: image,
    "autocontrast": lambda image, strength: ImageOps.autocontrast(image),
    "equalize": lambda image, strength: ImageOps.equalize(image),
    "blur": lambda image, strength: image.filter(ImageFilter.GaussianBlur(radius=0.1 + 1.9 * strength)),
    "contrast": _weaken(ImageEnhance.Contrast),
    "brightness": _weaken(ImageEnhance.Brightness),
    "color": _weaken(ImageEnhance.Color),
    "sharpness": _weaken(ImageEnhance.Sharpness),
    # keep 7, 6, 5 or 4 bits of every channel; invert the values at or above a threshold in [1, 255]
    "posterize": lambda image, strength: ImageOps.posterize(image, 8 - max(1, math.ceil(4 * strength))),
    "solarize": lambda image, strength: ImageOps.solarize(image, 256 - max(1, math.ceil(255 * strength))),
    "hue": lambda image, strength: adjust_hue(image, 0.5 * strength),
}


@TRANSFORMS.register_module()
class RandomIntensity(_RandomColor):
    """Applies a random number of random operations, each with a random strength.

    Their number is drawn from 1 to ``max_ops``. They are drawn from all of ``OPERATIONS``, with replacement, and
    applied in the order of the draw. Contrast, brightness, saturation and sharpness are only reduced, to a factor in
    (0.05, 0.95], so that the image is not distorted too much.

    Args:
        max_ops: Largest number of operations. Default 3.
        prob: Probability that anything is applied at all. Default 1.
    """

    @check_types
    def __init__(self, max_ops: PositiveInt = 3, prob: Share = 1.0) -> None:
        super().__init__(prob)
        self.max_ops = max_ops

    @cache_randomness
    def _draw_steps(self) -> list[tuple[str, float]]:
        """Names of the operations with their strengths, in the order of application."""
        count, names = np.random.randint(1, self.max_ops + 1), list(OPERATIONS)
        steps = []
        for index in np.random.randint(len(names), size=count):
            name, strength = names[index], float(np.random.rand())
            sign = -1.0 if name == "hue" and np.random.rand() < 0.5 else 1.0
            steps.append((name, sign * strength))
        return steps

    def _change(self, image: Image.Image) -> Image.Image:
        for name, strength in self._draw_steps():
            image = OPERATIONS[name](image, strength)
        return image
