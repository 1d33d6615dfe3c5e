"""From a trained model to label maps."""

from .image_files import find_images, name_outputs
from .inferencer import Prediction, SegInferencer
from .models import load_config, read_dataset_meta

__all__ = ["Prediction", "SegInferencer", "find_images", "load_config", "name_outputs", "read_dataset_meta"]
