"""Whatever holds weights or buffers and knows nothing of training."""

from .backbones import ReferenceMixVisionTransformer, ResNetCVT
from .channel_attention import ChannelCrossAttention, ChannelSelfAttention, channel_attention
from .class_activation import ActivationAttention, ImageLevelHead
from .class_queue import ClassQueue
from .density_memory import DensityMemory
from .draws import draw_per_class
from .ensemble import EnsembleBackbone, EnsembleHead
from .graph_consistency import GraphConsistency
from .heads import (
    ConvProjectionHead,
    DeepLabV3PlusHead,
    FeatureMapping,
    HeadTail,
    PixelCorrelation,
    PlainDPTHead,
    ProjectionHead,
    SegformerMLPHead,
    SplitASPPHead,
    SplitHead,
    TwoStreamHead,
    decode_with_features,
    decode_with_trunk,
    trunk_width,
)
from .losses import (
    DynamicSoftLabelLoss,
    FuzzyPositiveLoss,
    OhemLoss,
    PixelCrossEntropyLoss,
    PixelMSELoss,
    SigmoidFocalLoss,
    dynamic_soft_label,
)
from .necks import AllSparkNeck
from .negative_memory import NegativeMemory
from .part_memory import PartMemory, info_nce
from .semantic_augmentation import SemanticAugmentation
from .semantic_memory import SemanticMemory, feature_size, group_channels
from .teacher_average import TeacherAverage, holds_average

__all__ = [
    "ActivationAttention",
    "AllSparkNeck",
    "ChannelCrossAttention",
    "ChannelSelfAttention",
    "ClassQueue",
    "ConvProjectionHead",
    "DeepLabV3PlusHead",
    "DensityMemory",
    "DynamicSoftLabelLoss",
    "FeatureMapping",
    "EnsembleBackbone",
    "EnsembleHead",
    "FuzzyPositiveLoss",
    "GraphConsistency",
    "HeadTail",
    "ImageLevelHead",
    "NegativeMemory",
    "OhemLoss",
    "PartMemory",
    "PixelCorrelation",
    "PixelCrossEntropyLoss",
    "PixelMSELoss",
    "PlainDPTHead",
    "ProjectionHead",
    "ReferenceMixVisionTransformer",
    "ResNetCVT",
    "SegformerMLPHead",
    "SemanticAugmentation",
    "SemanticMemory",
    "SigmoidFocalLoss",
    "SplitASPPHead",
    "SplitHead",
    "TeacherAverage",
    "TwoStreamHead",
    "channel_attention",
    "decode_with_features",
    "decode_with_trunk",
    "draw_per_class",
    "dynamic_soft_label",
    "feature_size",
    "group_channels",
    "holds_average",
    "info_nce",
    "trunk_width",
]
