"""What a trained model is used for: label images, hand its checkpoint on, run it without this package."""

from .ensemble import as_ensemble
from .graphs import LogitsNet, compare_outputs, export_onnx, export_torch
from .image_files import find_images, name_outputs
from .inferencer import Prediction, SegInferencer
from .models import choose_weights, load_config, load_model, read_dataset_meta
from .multi_scale import MultiScale
from .plain import Plain, make_plain
from .publish import publish_checkpoint

__all__ = [
    "LogitsNet",
    "MultiScale",
    "Plain",
    "Prediction",
    "SegInferencer",
    "as_ensemble",
    "choose_weights",
    "compare_outputs",
    "export_onnx",
    "export_torch",
    "find_images",
    "load_config",
    "load_model",
    "make_plain",
    "name_outputs",
    "publish_checkpoint",
    "read_dataset_meta",
]
