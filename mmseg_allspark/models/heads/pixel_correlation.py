"""CorrMatch's correlation of every position with every other (CVPR 2024, arXiv 2306.04300).

Legend: B images, K classes, (h, w) size of the features, N = h * w positions, S segments, (H, W) image size.
"""

from typing import Literal

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmseg_allspark.utils.checks import PositiveInt, Share, check_types


class PixelCorrelation(BaseModule):
    """Affinity of the positions of a feature map, and what it does to logits; for training only.

    A = softmax over j of (a_i . b_j / sqrt(D)), where a and b are two 1 x 1 convolutions of the projected features. The
    convolution of b has no bias here: the softmax of a row cancels it. The affinity is computed in float32.

    Args:
        in_channels: Channels of the features.
        channels: Channels of their projection. Default 256.
        dim: Channels D of a and b. The release has the number of classes here.
        dropout: Probability that a channel of the projection is dropped. Default 0.1.
        propagate: Propagated logits at j are the sum over i of A_ij logits_i with ``'row'``, as in the release, so that
            their weights do not add up to 1; ``'column'``: at i the sum over j of A_ij logits_j. Default ``'row'``.
        norm_cfg: Norm of the projection. Default None, batch norm over all ranks.
        align_corners: Of every resizing. Default True.
    """

    training_only = True

    @check_types
    def __init__(
        self,
        in_channels: PositiveInt,
        channels: PositiveInt = 256,
        *,
        dim: PositiveInt,
        dropout: Share = 0.1,
        propagate: Literal["row", "column"] = "row",
        norm_cfg: dict | None = None,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        norm_cfg = dict(type="SyncBN") if norm_cfg is None else norm_cfg
        self.project = nn.Sequential(
            ConvModule(in_channels, channels, 3, padding=1, norm_cfg=norm_cfg), nn.Dropout2d(dropout)
        )
        self.query, self.key = nn.Conv2d(channels, dim, 1), nn.Conv2d(channels, dim, 1, bias=False)
        self.in_channels, self.propagate, self.align_corners = in_channels, propagate, align_corners

    def forward(self, features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Project, correlate and propagate.

        Args:
            features: (B, C, h, w).
            logits: (B, K, H, W); they get no gradient.

        Returns:
            Propagated logits (B, K, h, w) and the affinity (B, N, N) float32, whose rows add up to 1.

        Raises:
            ValueError: If the features have other channels.
        """
        if features.shape[1] != self.in_channels:
            raise ValueError(
                f"model.correlation.in_channels={self.in_channels}, but the level model.corr_index of the features has "
                f"{features.shape[1]} channels: set in_channels accordingly."
            )
        return self.correlate(self.project(features), logits)

    def correlate(self, features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, of projected features (B, channels, h, w)."""
        size = features.shape[2:]
        logits = self.resize(logits.detach().float(), size).flatten(2)
        query, key = self.query(features).flatten(2), self.key(features).flatten(2)
        with torch.autocast(features.device.type, enabled=False):
            products = query.float().transpose(1, 2) @ key.float()
            affinity = (products / query.shape[1] ** 0.5).softmax(dim=2)
            weights = affinity if self.propagate == "row" else affinity.transpose(1, 2)
            return (logits @ weights).unflatten(2, size), affinity

    def resize(self, values: Tensor, size: tuple[int, int]) -> Tensor:
        """Bilinear."""
        return resize(values, size=size, mode="bilinear", align_corners=self.align_corners, warning=False)

    @torch.no_grad()
    def segments(self, affinity: Tensor, rows: Tensor, size: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
        """What some positions are like: rows of the affinity, scaled to [0, 1], above one half.

        Args:
            affinity: (B, N, N).
            rows: (S,) int64 positions, the same for all images.
            size: Height and width of the features.
            image_size: Height and width of the result.

        Returns:
            (B, S, H, W) bool; a row without differences gives an empty segment.
        """
        parts = []
        for chunk in rows.split(16):  # one at a time in float: 128 of them would fill the memory
            drawn = affinity.detach().index_select(1, chunk)
            differs = drawn.amax(dim=2) > drawn.amin(dim=2)  # the resizing of equal values leaves rounding errors
            maps = self.resize(drawn.unflatten(2, size), image_size)
            low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
            parts.append(((maps - low) / (high - low) > 0.5) & differs[..., None, None])
        return torch.cat(parts, dim=1)
