"""Colour augmentation of the AllSpark release: torchvision's definitions, computed with Pillow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS
from PIL import Image, ImageEnhance, ImageFilter

from mmseg_allspark.utils.checks import Between, Share, check_types

_Strength = Annotated[float, Between(0.0)]


def adjust_hue(image: Image.Image, shift: float) -> Image.Image:
    """Turns the hue of an RGB image, as torchvision does for Pillow images; 0.5 is half a turn of the colour wheel."""
    hue, saturation, value = image.convert("HSV").split()
    # hue is one byte for the full turn, so the wrap-around of uint8 is the wheel itself
    turned = (np.asarray(hue, dtype=np.int32) + int(shift * 255)) % 256
    hue = Image.fromarray(turned.astype(np.uint8))
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


_ADJUSTERS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "saturation": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "hue": adjust_hue,
}


class _RandomColor(BaseTransform):
    """Applies ``_change`` to the RGB Pillow image with a probability; images in ``results`` are BGR uint8."""

    def __init__(self, prob: float) -> None:
        self.prob = prob

    @cache_randomness
    def _draw(self) -> bool:
        return bool(np.random.rand() < self.prob)

    def _change(self, image: Image.Image) -> Image.Image:
        raise NotImplementedError

    def transform(self, results: dict) -> dict:
        """Changes the colours of ``img`` (H, W, 3) uint8 BGR; another image is a ``TypeError``."""
        array = results["img"]
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
            raise TypeError(
                f"{type(self).__name__} needs an uint8 image (H, W, 3), got {array.dtype} {array.shape} for "
                f"{results.get('img_path')}. Load it with LoadImage(to_float32=False) and before any "
                "normalisation."
            )
        if self._draw():
            image = self._change(Image.fromarray(np.ascontiguousarray(array[..., ::-1])))
            results["img"] = np.ascontiguousarray(np.asarray(image)[..., ::-1])
        return results


@TRANSFORMS.register_module()
class RandomColorJitter(_RandomColor):
    """Changes brightness, contrast, saturation and hue in random order.

    Factors are uniform in [max(0, 1 - b), 1 + b], the hue shift in [-hue, hue] (torchvision's ``ColorJitter``
    on Pillow images, without needing torchvision). The defaults are those of the AllSpark release.

    Args:
        brightness: Half width of the factor's range. Default: 0.5.
        contrast: Same. Default: 0.5.
        saturation: Same. Default: 0.5.
        hue: Half width of the shift's range, at most 0.5. Default: 0.25.
        prob: Probability that anything is changed at all. Default: 0.8.

    Raises:
        ValueError: If a value is negative, or hue above 0.5.
    """

    @check_types
    def __init__(
        self,
        brightness: _Strength = 0.5,
        contrast: _Strength = 0.5,
        saturation: _Strength = 0.5,
        hue: Annotated[float, Between(0.0, 0.5)] = 0.25,
        prob: Share = 0.8,
    ) -> None:
        super().__init__(prob)
        self.strengths = dict(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)

    @cache_randomness
    def _draw_steps(self) -> list[tuple[str, float]]:
        """Names of the changes with their factors, in the order of application."""
        names = [name for name, strength in self.strengths.items() if strength > 0]
        steps = []
        for index in np.random.permutation(len(names)):
            strength = self.strengths[names[index]]
            low, high = (-strength, strength) if names[index] == "hue" else (max(0.0, 1 - strength), 1 + strength)
            steps.append((names[index], float(np.random.uniform(low, high))))
        return steps

    def _change(self, image: Image.Image) -> Image.Image:
        for name, factor in self._draw_steps():
            image = _ADJUSTERS[name](image, factor)
        return image


@TRANSFORMS.register_module()
class RandomGray(_RandomColor):
    """Turns the image grey (luminance, three equal channels) with a probability.

    mmcv's ``RandomGrayscale`` weighs the channels equally by default, draws from Python's generator and
    rounds down; this one is Pillow's ``convert('L')``, as torchvision and the release have it.

    Args:
        prob: Default: 0.2.
    """

    @check_types
    def __init__(self, prob: Share = 0.2) -> None:
        super().__init__(prob)

    def _change(self, image: Image.Image) -> Image.Image:
        grey = image.convert("L")
        return Image.merge("RGB", (grey, grey, grey))


@TRANSFORMS.register_module()
class RandomGaussianBlur(_RandomColor):
    """Blurs the image with Pillow's ``GaussianBlur`` and a random radius.

    Args:
        sigma: Lowest and highest radius in pixels, drawn uniformly. Default: (0.1, 2.0).
        prob: Default: 0.5.

    Raises:
        ValueError: If the range is not two numbers with 0 <= low <= high.
    """

    @check_types
    def __init__(self, sigma: tuple[float, float] = (0.1, 2.0), prob: Share = 0.5) -> None:
        super().__init__(prob)
        if not 0 <= sigma[0] <= sigma[1]:
            raise ValueError(f"RandomGaussianBlur needs sigma=(low, high) with 0 <= low <= high, got {sigma}.")
        self.sigma = tuple(sigma)

    @cache_randomness
    def _draw_sigma(self) -> float:
        return float(np.random.uniform(*self.sigma))

    def _change(self, image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.GaussianBlur(radius=self._draw_sigma()))
