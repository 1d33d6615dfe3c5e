"""Files to samples: datasets and transforms, registered in mmseg's registries."""

from . import transforms
from .camvid import CamVidDataset
from .checks import SplitError, check_splits
from .synthetic import SyntheticDataset
from .unlabeled import UnlabeledDataset

__all__ = ["CamVidDataset", "SplitError", "SyntheticDataset", "UnlabeledDataset", "check_splits", "transforms"]
