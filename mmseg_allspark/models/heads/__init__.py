"""Decode heads."""

from .deeplabv3plus_head import DeepLabV3PlusHead
from .feature_mapping import FeatureMapping
from .penultimate import (
    ConvProjectionHead,
    ProjectionHead,
    decode_with_features,
    decode_with_trunk,
    trunk_width,
)
from .pixel_correlation import PixelCorrelation
from .plain_dpt_head import PlainDPTHead
from .segformer_mlp_head import SegformerMLPHead
from .split_heads import HeadTail, SplitASPPHead, SplitHead
from .two_stream_head import TwoStreamHead

__all__ = [
    "ConvProjectionHead",
    "DeepLabV3PlusHead",
    "FeatureMapping",
    "HeadTail",
    "PixelCorrelation",
    "PlainDPTHead",
    "ProjectionHead",
    "SegformerMLPHead",
    "SplitASPPHead",
    "SplitHead",
    "TwoStreamHead",
    "decode_with_features",
    "decode_with_trunk",
    "trunk_width",
]
