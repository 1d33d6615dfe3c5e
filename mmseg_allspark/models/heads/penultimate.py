"""What a decode head gives before its classifier, and a projection of it."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mmseg_allspark.models.heads.split_heads import SplitHead
from mmseg_allspark.utils.checks import PositiveInt, check_positive_int, check_types


def decode_with_features(head: BaseDecodeHead, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Decode once, and keep what goes into the classifier.

    Args:
        head: Any of mmseg's heads that ends in ``cls_seg``.
        feats: Levels of backbone and neck, each (B, C_i, H_i, W_i).

    Returns:
        Logits (B, K, h, w), and the features before dropout and classifier, (B, ``head.channels``, h, w).

    Raises:
        TypeError: If the head does not classify by ``cls_seg``.
    """
    seen: list[Tensor] = []
    first = head.conv_seg if head.dropout is None else head.dropout  # of what cls_seg does
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        logits = head(feats)
    finally:
        handle.remove()
    if not seen:
        raise TypeError(
            f"model.decode_head.type={type(head).__name__!r} does not classify by cls_seg, so that the features before "
            "its classifier are unknown: use a head such as SegformerHead, UPerHead, ASPPHead or FCNHead."
        )
    return logits, seen[-1]


def decode_with_trunk(head: BaseDecodeHead, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Decode once, and keep what lies between the two parts of a :class:`SplitHead`.

    Args:
        head: A :class:`SplitHead`, or any head of :func:`decode_with_features`.
        feats: Levels of backbone and neck, each (B, C_i, H_i, W_i).

    Returns:
        Logits (B, K, h, w), and features (B, C, h, w) with C of :func:`trunk_width`; of another head those before its
        classifier.
    """
    if not isinstance(head, SplitHead):
        return decode_with_features(head, feats)
    hidden = head.trunk(feats)
    return head.tail(hidden), hidden


def trunk_width(head: BaseDecodeHead) -> int:
    """Channels of the features that :func:`decode_with_trunk` gives."""
    return head.trunk_channels if isinstance(head, SplitHead) else head.channels


class ProjectionHead(BaseModule):
    """Two 1 x 1 convolutions with norm and ReLU between them; for training only.

    Args:
        in_channels: Channels of the features.
        out_channels: Channels of the projection. Default 256.
        norm_cfg: Norm between the convolutions. Default batch norm over all ranks.
    """

    training_only = True

    def __init__(self, in_channels: int, out_channels: int = 256, norm_cfg: dict | None = dict(type="SyncBN")) -> None:  # noqa: B006, E501
        super().__init__()
        check_positive_int("projection.in_channels", in_channels)
        check_positive_int("projection.out_channels", out_channels)
        self.hidden = ConvModule(in_channels, in_channels, 1, norm_cfg=norm_cfg)
        self.out = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Project: (B, C, h, w) -> (B, D, h, w)."""
        return self.out(self.hidden(features))


class ConvProjectionHead(BaseModule):
    """Two 3 x 3 convolutions with norm and ReLU, and a 1 x 1 convolution; for training only.

    Args:
        in_channels: Channels of the features.
        out_channels: Channels of the projection. Default 512.
        hidden_channels: Channels between the convolutions. Default 256.
        norm_cfg: Norm after the first two. Default batch norm over all ranks.
    """

    training_only = True

    @check_types
    def __init__(
        self,
        in_channels: PositiveInt,
        out_channels: PositiveInt = 512,
        hidden_channels: PositiveInt = 256,
        norm_cfg: dict | None = dict(type="SyncBN"),  # noqa: B006
    ) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            ConvModule(in_channels, hidden_channels, 3, padding=1, norm_cfg=norm_cfg),
            ConvModule(hidden_channels, hidden_channels, 3, padding=1, norm_cfg=norm_cfg),
        )
        self.out = nn.Conv2d(hidden_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Project: (B, C, h, w) -> (B, D, h, w)."""
        return self.out(self.hidden(features))
