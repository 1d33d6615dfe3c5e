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
    pixels = maps if maps.dim() == 4 else maps[:, None]
    resized = F.interpolate(pixels.float(), size=size, mode="nearest-exact").to(maps.dtype)
    return resized if maps.dim() == 4 else resized[:, 0]
