"""CutOut on the device: a square of each image takes the mean colour (arXiv 1708.04552)."""

import torch
from torch import Tensor

from mmseg_allspark.utils.checks import PositiveInt, check_types


class CutOut:
    """Blanks one square of each image, around a pixel drawn uniformly; at the border it is cut.

    Args:
        half: Half of the square's side in pixels. Default 50.
    """

    @check_types
    def __init__(self, half: PositiveInt = 50) -> None:
        self.half = half

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Blank the squares.

        Args:
            images: (B, C, H, W), normalised, so that the mean colour is 0.

        Returns:
            New images, and a bool map (B, H, W) that is False inside the squares.

        Raises:
            ValueError: If a square could cover a whole image.
        """
        batch, _, height, width = images.shape
        if 2 * self.half >= min(height, width):
            raise ValueError(
                f"model.cutout.half={self.half}: a square of {2 * self.half} pixels can cover a crop of "
                f"{height} x {width} pixels; choose a half below {min(height, width) / 2:g}."
            )
        kept = torch.ones(batch, height, width, dtype=torch.bool, device=images.device)
        for image in kept:
            row, column = (int(torch.randint(side, ()).item()) for side in (height, width))  # drawn by the host
            image[max(row - self.half, 0) : row + self.half, max(column - self.half, 0) : column + self.half] = False
        return images.masked_fill(~kept[:, None], 0.0), kept
