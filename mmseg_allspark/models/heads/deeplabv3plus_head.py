"""DeepLabV3+'s head with plain convolutions, as UniMatch's release and the methods compared with it use it."""

from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.models.heads.split_heads import HeadTail
from mmseg_allspark.utils.checks import PositiveInt, Share, check_types


@MODELS.register_module()
class DeepLabV3PlusHead(BaseDecodeHead):
    """ASPP on the deepest level, then two 3x3 convolutions on it and the shallowest level (arXiv 1802.02611).

    mmseg's :class:`DepthwiseSeparableASPPHead` has separable convolutions, a 3x3 bottleneck after ASPP and dropout;
    with ResNet-101 it has 11 M parameters less, and its weights do not fit. A :class:`SplitHead`: the trunk ends before
    the 3x3 convolutions. All weights start with torch's own initialisation.

    Args:
        in_channels: Channels of the deepest level.
        channels: Channels of every branch and convolution.
        dilations: Of the branches; 1 stands for a 1x1 convolution. Default ``(1, 6, 12, 18)``.
        c1_in_channels: Channels of the shallowest level. Default 256.
        c1_channels: Channels to which it is reduced. Default 48.
        in_index: Position of the deepest level. Default -1.
        dropout_ratio: Dropout before the classifier. Default 0, none.
        align_corners: Of every upsampling, that of the logits included. Default True.
        init_cfg: Default None.
        **kwargs: Those of :class:`mmseg.models.decode_heads.BaseDecodeHead`.

    Raises:
        TypeError, ValueError: On an argument of a wrong type or value, and on ``conv_cfg``, ``act_cfg`` or
            ``input_transform``: the released head has no other form.
    """

    @check_types
    def __init__(
        self,
        in_channels: PositiveInt,
        channels: PositiveInt,
        *,
        dilations: list[PositiveInt] = (1, 6, 12, 18),
        c1_in_channels: PositiveInt = 256,
        c1_channels: PositiveInt = 48,
        in_index: int = -1,
        dropout_ratio: Share = 0,
        align_corners: bool = True,
        init_cfg: dict | list[dict] | None = None,
        **kwargs,  # noqa: ANN003
    ) -> None:
        if not dilations:
            raise ValueError("model.decode_head.dilations is empty: name at least one, e.g. (1, 6, 12, 18).")
        for name in ("conv_cfg", "act_cfg", "input_transform"):
            if name in kwargs:
                raise TypeError(f"model.decode_head.{name} means nothing to DeepLabV3PlusHead; leave it out.")
        super().__init__(
            in_channels,
            channels,
            in_index=in_index,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            init_cfg=init_cfg,
            **kwargs,
        )
        self.branches = nn.ModuleList(
            self._conv(in_channels, channels, 1 if dilation == 1 else 3, dilation) for dilation in dilations
        )
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), *self._conv(in_channels, channels, 1))
        self.project = self._conv(channels * (len(dilations) + 1), channels, 1)
        self.c1_in_channels = c1_in_channels
        self.reduce = self._conv(c1_in_channels, c1_channels, 1)
        self.trunk_channels = c1_channels + channels
        self.fuse = self._build_fuse(self.trunk_channels)

    def _conv(self, in_channels: int, channels: int, size: int, dilation: int = 1) -> nn.Sequential:
        """Build a convolution that keeps the size, norm and ReLU."""
        padding = dilation * (size // 2)
        conv = nn.Conv2d(in_channels, channels, size, padding=padding, dilation=dilation, bias=self.norm_cfg is None)
        norm = nn.Identity() if self.norm_cfg is None else build_norm_layer(self.norm_cfg, channels)[1]
        return nn.Sequential(conv, norm, nn.ReLU(inplace=True))

    def _build_fuse(self, in_channels: int) -> nn.Sequential:
        return nn.Sequential(*self._conv(in_channels, self.channels, 3), *self._conv(self.channels, self.channels, 3))

    def trunk(self, inputs: Sequence[Tensor]) -> Tensor:
        """Everything before the last 3x3 convolutions.

        Args:
            inputs: Backbone maps (B, C_i, H_i, W_i), shallowest first.

        Returns:
            (B, c1_channels + channels, H_1, W_1), the shallow level first.
        """
        deep, shallow = self._transform_inputs(inputs), inputs[0]
        for key, level, channels, index in (
            ("in_channels", deep, self.in_channels, f"in_index={self.in_index}"),
            ("c1_in_channels", shallow, self.c1_in_channels, "0"),
        ):
            if level.shape[1] != channels:
                raise ValueError(
                    f"model.decode_head.{key}={channels}, but the backbone's level {index} has {level.shape[1]} "
                    f"channels: set {key} accordingly."
                )
        shallow = self.reduce(shallow)
        parts = [branch(deep) for branch in self.branches]
        parts.append(self.image_pool(deep).expand_as(parts[0]))
        deep = self.project(torch.cat(parts, dim=1))
        deep = resize(deep, size=shallow.shape[2:], mode="bilinear", align_corners=self.align_corners)
        return torch.cat([shallow, deep], dim=1)

    def tail(self, hidden: Tensor) -> Tensor:
        """Fuse and classify: (B, c1_channels + channels, h, w) -> logits (B, K, h, w)."""
        return self.cls_seg(self.fuse(hidden))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode backbone maps to logits (B, K, H_1, W_1)."""
        return self.tail(self.trunk(inputs))

    def build_tail(self) -> HeadTail:
        """Build the tail once more."""
        fuse = self._build_fuse(self.trunk_channels)
        return HeadTail(fuse, self.channels, self.num_classes, self.dropout_ratio, self.init_cfg)
