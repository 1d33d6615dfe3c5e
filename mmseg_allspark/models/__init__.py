"""Whatever holds weights or buffers and knows nothing of training."""

from .backbones import ReferenceMixVisionTransformer
from .channel_attention import ChannelCrossAttention, ChannelSelfAttention, channel_attention
from .heads import SegformerMLPHead
from .losses import OhemLoss
from .necks import AllSparkNeck
from .semantic_memory import SemanticMemory, group_channels
from .teacher_average import TeacherAverage, holds_average

__all__ = [
    "AllSparkNeck",
    "ChannelCrossAttention",
    "ChannelSelfAttention",
    "OhemLoss",
    "ReferenceMixVisionTransformer",
    "SegformerMLPHead",
    "SemanticMemory",
    "TeacherAverage",
    "channel_attention",
    "group_channels",
    "holds_average",
]
