"""A mapping of the features inside a decode head (CCVC, arXiv 2303.01276)."""

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_allspark.utils.checks import PositiveInt, Share, check_types


class FeatureMapping(BaseModule):
    """A 1 x 1 convolution without bias that keeps the channels, norm, ReLU, and dropout of whole channels.

    It lies between trunk and tail of a :class:`SplitHead` and is a part of the network, in inference as well.

    Args:
        channels: Channels C of the features.
        norm: Whether ``norm_cfg`` is used. Default True.
        dropout: Probability that a channel is dropped. Default 0.5.
        norm_cfg: Norm after the convolution. Default None, no norm.
    """

    @check_types
    def __init__(
        self, channels: PositiveInt, norm: bool = True, dropout: Share = 0.5, norm_cfg: dict | None = None
    ) -> None:
        super().__init__()
        has_norm = norm and norm_cfg is not None
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = build_norm_layer(norm_cfg, channels)[1] if has_norm else nn.Identity()
        self.activate, self.dropout = nn.ReLU(inplace=True), nn.Dropout2d(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Map: (B, C, h, w) -> (B, C, h, w), not negative."""
        return self.dropout(self.activate(self.norm(self.conv(features))))
