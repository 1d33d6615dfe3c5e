"""SegFormer's all-MLP head as in its paper and in AllSpark's release."""

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import SegformerHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.models.heads.split_heads import HeadTail


@MODELS.register_module()
class SegformerMLPHead(SegformerHead):
    """SegFormer head with a plain linear layer per level and the levels concatenated deepest first.

    mmseg's :class:`SegformerHead` adds norm and ReLU after each level's layer and concatenates shallowest
    first, so weights trained with one head do not fit the other (arXiv 2105.15203, section 3.2). The weights of
    ``convs`` and ``fusion_conv`` are used without calling these modules. The classifier starts with torch's own
    initialisation, as in AllSpark's release, not with mmseg's ``Normal(0.01)``.

    Args:
        **kwargs: Those of :class:`mmseg.models.decode_heads.SegformerHead`; ``init_cfg`` defaults to None.
    """

    def __init__(self, **kwargs) -> None:  # noqa: ANN003
        super().__init__(**dict(init_cfg=None) | kwargs)
        self.convs = nn.ModuleList(nn.Conv2d(channels, self.channels, 1) for channels in self.in_channels)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode.

        Args:
            inputs: Backbone maps c1..c4, each (B, C_i, H_i, W_i), shallowest first.

        Returns:
            Logits (B, K, H_1, W_1).
        """
        levels = self._transform_inputs(inputs)
        size = levels[0].shape[2:]
        # A level's layer and its part of the fusing 1x1 convolution are linear, and both commute with bilinear
        # upsampling: they become one convolution at the level's own width and resolution, and the results are added.
        parts = self.fusion_conv.conv.weight.flatten(1).split(self.channels, dim=1)[::-1]  # stored deepest first
        fused = map(_composed, levels, self.convs, parts)
        fused = reduce(
            torch.add,
            (
                level
                if level.shape[2:] == size
                else resize(level, size=size, mode=self.interpolate_mode, align_corners=self.align_corners)
                for level in fused
            ),
        )
        if self.fusion_conv.with_norm:
            fused = self.fusion_conv.norm(fused)
        else:  # the fusing convolution has a bias then
            fused = fused + self.fusion_conv.conv.bias[:, None, None]
        return self.cls_seg(self.fusion_conv.activate(fused))

    @property
    def trunk_channels(self) -> int:
        """Channels between :meth:`trunk` and :meth:`tail`: those of all levels together."""
        return self.channels * len(self.convs)

    def trunk(self, inputs: Sequence[Tensor]) -> Tensor:
        """Map the levels and concatenate them, for methods that work inside the head: -> (B, C, H_1, W_1).

        ``tail(trunk(inputs))`` is what :meth:`forward` gives, with everything at the size of the first level.
        """
        levels = [layer(level) for layer, level in zip(self.convs, self._transform_inputs(inputs), strict=True)]
        interpolation = dict(size=levels[0].shape[2:], mode=self.interpolate_mode, align_corners=self.align_corners)
        return torch.cat([resize(level, **interpolation) for level in levels[::-1]], dim=1)

    def tail(self, hidden: Tensor) -> Tensor:
        """Fuse and classify: (B, C, h, w) -> logits (B, K, h, w)."""
        return self.cls_seg(self.fusion_conv(hidden))

    def build_tail(self) -> HeadTail:
        """Build the tail once more."""
        parts = dict(norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        fuse = ConvModule(self.trunk_channels, self.channels, 1, **parts)
        return HeadTail(fuse, self.channels, self.num_classes, self.dropout_ratio, self.init_cfg)


def _composed(level: Tensor, layer: nn.Conv2d, part: Tensor) -> Tensor:
    """Apply a level's 1x1 layer (c, C_i, 1, 1) and then the matrix ``part`` (c, c), as one convolution."""
    with torch.autocast(device_type=level.device.type, enabled=False):  # the product of weights keeps their precision
        weight, bias = part @ layer.weight.flatten(1), part @ layer.bias
    return F.conv2d(level, weight[:, :, None, None], bias)
