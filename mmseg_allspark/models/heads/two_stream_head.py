"""A decode head for a backbone of two streams: the mean of two heads."""

from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.models.heads.deeplabv3plus_head import DeepLabV3PlusHead
from mmseg_allspark.utils.checks import PositiveInt, check_types

Pair = tuple[Tensor, Tensor]


@MODELS.register_module()
class TwoStreamHead(DeepLabV3PlusHead):
    """Two :class:`DeepLabV3PlusHead` with weights of their own, on the last two levels of :class:`ResNetCVT`.

    Itself it is the head of the ResNet's level, and ``self.transformer`` that of the transformer's. Both also take the
    shallowest level. The logits are the mean of both. As a :class:`SplitHead` it has both trunks side by side.

    Args:
        in_channels: Channels of either deep level.
        channels: As in :class:`DeepLabV3PlusHead`.
        in_index: Position of the transformer's level; the ResNet's is the one before. Default -1.
        **kwargs: Those of :class:`DeepLabV3PlusHead`.
    """

    @check_types
    def __init__(self, in_channels: PositiveInt, channels: PositiveInt, *, in_index: int = -1, **kwargs) -> None:  # noqa: ANN003, E501
        super().__init__(in_channels, channels, in_index=in_index - 1, **kwargs)
        self.transformer = DeepLabV3PlusHead(in_channels, channels, in_index=in_index, **kwargs)
        self.trunk_channels *= 2

    def trunks(self, inputs: Sequence[Tensor]) -> Pair:
        """What each stream has before its last 3x3 convolutions, (B, C, H_1, W_1), the ResNet's first."""
        return super().trunk(inputs), self.transformer.trunk(inputs)

    def tails(self, hidden: Pair) -> Pair:
        """Logits (B, K, h, w) of each stream."""
        return super().tail(hidden[0]), self.transformer.tail(hidden[1])

    def trunk(self, inputs: Sequence[Tensor]) -> Tensor:
        """Both trunks: (B, 2 C, H_1, W_1)."""
        return torch.cat(self.trunks(inputs), dim=1)

    def tail(self, hidden: Tensor) -> Tensor:
        """Mean logits (B, K, h, w) of both streams."""
        return torch.stack(self.tails(hidden.chunk(2, dim=1))).mean(dim=0)

    def build_tail(self) -> None:
        """Refuse: a further tail would be one of both streams, which no method asks for."""
        raise TypeError("TwoStreamHead has two tails: model.decode_head of this method has to be another SplitHead.")
