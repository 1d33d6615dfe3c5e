"""From a trained model to label maps."""

from .image_files import find_images, name_outputs
from .inferencer import Prediction, SegInferencer
from .models import load_config, read_dataset_meta
from .weights import choose_weights, load_model

__all__ = [
    "Prediction",
    "SegInferencer",
    "choose_weights",
    "find_images",
    "load_config",
    "load_model",
    "name_outputs",
    "read_dataset_meta",
]
