"""Maps at another size, without new values."""

import torch.nn.functional as F
from torch import Tensor


def resize_nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize to the nearest pixel; there and back by way of a larger size gives the same maps.

    Args:
        maps: (B, H, W) or (B, C, H, W), of any dtype.
        size: New height and width.

    Returns:
        Maps of the same dtype.
    """
    return _resize(maps, size, "nearest-exact")


def resize_floor(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """As :func:`resize_nearest`, but a pixel is that of the scaled index rounded down, as in several releases."""
    return _resize(maps, size, "nearest")


def _resize(maps: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    pixels = maps if maps.dim() == 4 else maps[:, None]
    resized = F.interpolate(pixels.float(), size=tuple(size), mode=mode).to(maps.dtype)
    return resized if maps.dim() == 4 else resized[:, 0]
