"""Decode heads."""

from .segformer_mlp_head import SegformerMLPHead
from .split_heads import HeadTail, SplitASPPHead, SplitDepthwiseSeparableASPPHead, SplitHead

__all__ = ["HeadTail", "SegformerMLPHead", "SplitASPPHead", "SplitDepthwiseSeparableASPPHead", "SplitHead"]
