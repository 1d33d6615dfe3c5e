"""PseudoSeg's image-level head, its class activation maps, and their self-attention (ICLR 2021, arXiv 2010.09713).

Legend: B images, K' classes of the image-level head (without a background), K of the segmentation, (h, w) size of the
deepest features, N = h * w positions, (H, W) image size.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmseg_allspark.utils.checks import PositiveInt, Share, check_types
from mmseg_allspark.utils.resizing import resize_nearest


class ImageLevelHead(BaseModule):
    """Says which classes an image has: global mean, dropout, one linear layer; for training only.

    Args:
        in_channels: Channels of the features.
        num_classes: Classes K'.
        dropout: Default 0.5.
    """

    training_only = True

    @check_types
    def __init__(self, in_channels: PositiveInt, num_classes: PositiveInt, dropout: Share = 0.5) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K') of the presence of each class, of features (B, C, h, w)."""
        return self.fc(self.dropout(features.mean(dim=(2, 3))))

    @torch.no_grad()
    def activation(self, features: Tensor, present: Tensor) -> Tensor:
        """Class activation maps, of which Grad-CAM's are a multiple after a global mean and a linear layer.

        Args:
            features: (B, C, h, w).
            present: (B, K'), 1 where an image has a class; the maps of others are 0.

        Returns:
            (B, K', h, w) float32 in [0, 1]: each map has its largest value at 1, or is 0 everywhere.
        """
        with torch.autocast(features.device.type, enabled=False):
            maps = F.conv2d(features.float(), self.fc.weight.float()[..., None, None]).relu()
        maps = maps * present[..., None, None]
        largest = maps.amax(dim=(2, 3), keepdim=True)
        return maps / torch.where(largest > 0, largest, 1.0)


class ActivationAttention(BaseModule):
    """Spreads class activation maps over similar positions and turns them into logits; for training only.

    The similarity is the product of two 1 x 1 convolutions of the two deepest levels together. Features and maps get no
    gradient. A last 1 x 1 convolution with batch norm, by the statistics of the batch in every mode, gives the logits.

    Args:
        in_channels: Channels of the deepest level and of the one that is laid beside it.
        num_classes: Classes K.
        dim: Channels of queries and keys. Default 128.
        background: Class 0 is a background, whose map is 2 minus the largest of the others. False: every class has a
            map, and K' = K. Default True.
        align_corners: Of the resizing of features. Default True.
    """

    training_only = True

    @check_types
    def __init__(
        self,
        in_channels: Sequence[PositiveInt],
        num_classes: PositiveInt,
        dim: PositiveInt = 128,
        *,
        background: bool = True,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels, self.background, self.align_corners = tuple(in_channels), background, align_corners
        self.query, self.key = (nn.Conv2d(sum(in_channels), dim, 1, bias=False) for _ in range(2))
        self.mix = nn.Conv2d(num_classes, num_classes, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(num_classes))

    def forward(self, deep: Tensor, side: Tensor, activation: Tensor, valid: Tensor | None = None) -> Tensor:
        """Spread the maps.

        Args:
            deep: (B, C_1, h, w), the level of the maps.
            side: (B, C_2, h_2, w_2), another level.
            activation: (B, K', h, w).
            valid: (B, H, W) bool, False on padding, which others do not attend to. Default None, no padding.

        Returns:
            Logits (B, K, h, w) float32.
        """
        side = resize(side, deep.shape[2:], mode="bilinear", align_corners=self.align_corners, warning=False)
        features = torch.cat([deep, side], dim=1).detach().float()
        with torch.autocast(features.device.type, enabled=False):
            maps = self.add_background(self.spread(features, activation, valid))
            mixed = self.mix(maps)
            var, mean = torch.var_mean(mixed, dim=(0, 2, 3), correction=0, keepdim=True)
            return (mixed - mean) / (var + 1e-3).sqrt() + self.bias[:, None, None]

    def spread(self, features: Tensor, activation: Tensor, valid: Tensor | None) -> Tensor:
        """A map plus what each position's attention gathers of it: (B, K', h, w) in [0, 2]."""
        query, key = self.query(features).flatten(2), self.key(features).flatten(2)
        similarity = query.transpose(1, 2) @ key / query.shape[1] ** 0.5
        if valid is not None:
            seen = resize_nearest(valid, features.shape[2:]).flatten(1)
            # the row of a padded position is masked as a whole: it attends to everything alike
            similarity = similarity.masked_fill(~(seen[:, :, None] & seen[:, None]), -1e9)
        gathered = activation.flatten(2) @ similarity.softmax(dim=2).transpose(1, 2)
        return gathered.view_as(activation) + activation

    def add_background(self, maps: Tensor) -> Tensor:
        """The map of the background in front of (B, K', h, w) spread maps, if there is one: (B, K, h, w)."""
        return torch.cat([2.0 - maps.amax(dim=1, keepdim=True), maps], dim=1) if self.background else maps
