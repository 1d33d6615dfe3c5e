"""Decode heads."""

from .segformer_mlp_head import SegformerMLPHead

__all__ = ["SegformerMLPHead"]
