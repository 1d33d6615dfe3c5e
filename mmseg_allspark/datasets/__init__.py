"""Files to samples: datasets and transforms, registered in mmseg's registries."""

from . import transforms
from .camvid import CamVidDataset
from .checks import SplitError, check_splits
from .coco81 import COCO81Dataset
from .pipelines import guidedmix_pipelines, semi_pipelines
from .synthetic import SyntheticDataset
from .unlabeled import UnlabeledDataset

__all__ = [
    "COCO81Dataset",
    "CamVidDataset",
    "SplitError",
    "SyntheticDataset",
    "UnlabeledDataset",
    "check_splits",
    "guidedmix_pipelines",
    "semi_pipelines",
    "transforms",
]
