"""Backbones."""

from .reference_mit import ReferenceMixVisionTransformer

__all__ = ["ReferenceMixVisionTransformer"]
