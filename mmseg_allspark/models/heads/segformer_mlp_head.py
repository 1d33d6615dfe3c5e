"""SegFormer's all-MLP head as in its paper and in AllSpark's release."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmseg.models.decode_heads import SegformerHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS


@MODELS.register_module()
class SegformerMLPHead(SegformerHead):
    """SegFormer head with a plain linear layer per level and the levels concatenated deepest first.

    mmseg's :class:`SegformerHead` adds norm and ReLU after each level's layer and concatenates shallowest
    first, so weights trained with one head do not fit the other (arXiv 2105.15203, section 3.2).

    Args:
        **kwargs: Those of :class:`mmseg.models.decode_heads.SegformerHead`.
    """

    def __init__(self, **kwargs) -> None:  # noqa: ANN003
        super().__init__(**kwargs)
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
        mapped = [
            resize(conv(level), size=size, mode=self.interpolate_mode, align_corners=self.align_corners)
            for conv, level in zip(self.convs, levels, strict=True)
        ]
        return self.cls_seg(self.fusion_conv(torch.cat(mapped[::-1], dim=1)))
