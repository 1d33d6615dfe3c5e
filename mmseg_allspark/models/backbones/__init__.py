"""Backbones."""

from .reference_mit import ReferenceMixVisionTransformer
from .resnet_cvt import ResNetCVT

__all__ = ["ReferenceMixVisionTransformer", "ResNetCVT"]
