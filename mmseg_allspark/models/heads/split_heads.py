"""DeepLab's heads in two parts, so that a method can work on what lies between them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.decode_heads import ASPPHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn


class HeadTail(BaseModule):
    """What follows the trunk of a decode head, a second time and with weights of its own.

    Args:
        fuse: Gives (B, channels, h, w).
        channels: Of what ``fuse`` gives.
        num_classes: Classes K.
        dropout_ratio: Dropout before the classifier, as in the head.
        init_cfg: How it starts, as the head. Default None.
    """

    training_only = True

    def __init__(
        self,
        fuse: nn.Module,
        channels: int,
        num_classes: int,
        dropout_ratio: float,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.fuse = fuse
        self.dropout = nn.Dropout2d(dropout_ratio)
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Decode (B, C, h, w) of a trunk to logits (B, K, h, w)."""
        return self.conv_seg(self.dropout(self.fuse(inputs)))


@runtime_checkable
class SplitHead(Protocol):
    """A decode head with ``forward(feats) == tail(trunk(feats))``.

    Attributes:
        trunk_channels: Channels C between the two parts.
    """

    trunk_channels: int

    def trunk(self, inputs: Sequence[Tensor]) -> Tensor:
        """First part: backbone maps, shallowest first -> (B, C, h, w)."""

    def tail(self, hidden: Tensor) -> Tensor:
        """Second part: (B, C, h, w) -> logits (B, K, h, w)."""

    def build_tail(self) -> HeadTail:
        """Build the second part once more."""


@MODELS.register_module()
class SplitASPPHead(ASPPHead):
    """DeepLabV3's head; trunk: the concatenated branches, tail: bottleneck and classifier.

    Same weights by the same names as mmseg's :class:`ASPPHead`, which is what an exported model has.

    Args:
        **kwargs: Those of :class:`mmseg.models.decode_heads.ASPPHead`.
    """

    plain_type = "ASPPHead"

    @property
    def trunk_channels(self) -> int:
        """Channels of all branches together."""
        return self.bottleneck.conv.in_channels

    def trunk(self, inputs: Sequence[Tensor]) -> Tensor:
        """Pool the image and apply the dilated convolutions: -> (B, C, h, w)."""
        level = self._transform_inputs(inputs)
        pooled = resize(self.image_pool(level), size=level.shape[2:], mode="bilinear", align_corners=self.align_corners)
        return torch.cat([pooled, *self.aspp_modules(level)], dim=1)

    def tail(self, hidden: Tensor) -> Tensor:
        """Fuse and classify: (B, C, h, w) -> logits (B, K, h, w)."""
        return self.cls_seg(self.bottleneck(hidden))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode backbone maps to logits (B, K, h, w)."""
        return self.tail(self.trunk(inputs))

    def build_tail(self) -> HeadTail:
        """Build the tail once more."""
        convs = dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        fuse = ConvModule(self.trunk_channels, self.channels, 3, padding=1, **convs)
        return HeadTail(fuse, self.channels, self.num_classes, self.dropout_ratio, self.init_cfg)
