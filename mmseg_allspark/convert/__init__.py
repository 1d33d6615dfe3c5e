"""Checkpoints of other code bases -> ours."""

from .reference import convert_reference_checkpoint

__all__ = ["convert_reference_checkpoint"]
