"""Trained models for places without training: plain checkpoints, ONNX, torch.export."""

from .graphs import LogitsNet, compare_outputs, export_onnx, export_torch
from .plain import Plain, make_plain
from .publish import publish_checkpoint

__all__ = [
    "LogitsNet",
    "Plain",
    "compare_outputs",
    "export_onnx",
    "export_torch",
    "make_plain",
    "publish_checkpoint",
]
