"""Decode heads."""

from .deeplabv3plus_head import DeepLabV3PlusHead
from .segformer_mlp_head import SegformerMLPHead
from .split_heads import HeadTail, SplitASPPHead, SplitHead

__all__ = ["DeepLabV3PlusHead", "HeadTail", "SegformerMLPHead", "SplitASPPHead", "SplitHead"]
