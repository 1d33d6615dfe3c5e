"""Whatever holds weights or buffers and knows nothing of training."""

from .backbones.reference_mit import ReferenceMixVisionTransformer
from .backbones.resnet_cvt import ResNetCVT
from .channel_attention import ChannelCrossAttention, ChannelSelfAttention, channel_attention
from .class_activation import ActivationAttention, ImageLevelHead
from .class_queue import ClassQueue
from .density_memory import DensityMemory
from .draws import draw_per_class
from .ensemble import EnsembleBackbone, EnsembleHead
from .graph_consistency import GraphConsistency
from .heads.deeplabv3plus_head import DeepLabV3PlusHead
from .heads.feature_mapping import FeatureMapping
from .heads.penultimate import ConvProjectionHead, ProjectionHead, decode_with_features, decode_with_trunk, trunk_width
from .heads.pixel_correlation import PixelCorrelation
from .heads.plain_dpt_head import PlainDPTHead
from .heads.segformer_mlp_head import SegformerMLPHead
from .heads.split_heads import HeadTail, SplitASPPHead, SplitHead
from .heads.two_stream_head import TwoStreamHead
from .losses.dynamic_soft_label import DynamicSoftLabelLoss, dynamic_soft_label
from .losses.fuzzy_positive_loss import FuzzyPositiveLoss
from .losses.ohem_loss import OhemLoss
from .losses.pixel_losses import SigmoidFocalLoss
from .necks.allspark_neck import AllSparkNeck
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
