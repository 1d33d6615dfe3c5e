"""Several networks of one form as one EncoderDecoder: the mean of their logits."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.checks import PositiveInt, check_types


@MODELS.register_module()
class EnsembleBackbone(BaseModule):
    """Several backbones, each of which sees the images.

    Args:
        backbones: Their configs.
    """

    @check_types
    def __init__(self, backbones: Sequence[dict]) -> None:
        super().__init__()
        self.members = nn.ModuleList(MODELS.build(backbone) for backbone in backbones)

    def forward(self, images: Tensor) -> list[Sequence[Tensor]]:
        """Levels of each backbone, of images (B, C, H, W)."""
        return [member(images) for member in self.members]


@MODELS.register_module()
class EnsembleHead(BaseModule):
    """Several decode heads, the first for the first backbone of an :class:`EnsembleBackbone` and so on.

    Upsampling is linear, so that the mean of the logits as the heads give them is that of the logits at image size.
    For inference; there is no loss.

    Args:
        heads: Their configs. What they have in common is read from the first.
        num_classes: Classes K, as in the heads.
    """

    @check_types
    def __init__(self, heads: Sequence[dict], num_classes: PositiveInt) -> None:
        super().__init__()
        self.members = nn.ModuleList(MODELS.build(head) for head in heads)
        first = self.members[0]
        self.num_classes, self.out_channels, self.threshold = num_classes, first.out_channels, first.threshold
        self.align_corners = first.align_corners

    def forward(self, inputs: Sequence[Sequence[Tensor]]) -> Tensor:
        """Mean logits (B, K, h, w)."""
        return torch.stack([head(feats) for head, feats in zip(self.members, inputs, strict=True)]).mean(dim=0)

    def predict(self, inputs: Sequence[Sequence[Tensor]], batch_img_metas: list[dict], test_cfg: dict) -> Tensor:
        """Mean logits (B, K, H, W) at the size of the images; as mmseg's heads."""
        return self.members[0].predict_by_feat(self(inputs), batch_img_metas)
