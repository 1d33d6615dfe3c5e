"""Ways to learn from unlabeled images: one file, one method."""

from .cutmix import CutMix
from .pseudo_label import (
    ClassQuantileThreshold,
    ConfidenceThreshold,
    DistributionAlignment,
    PseudoLabel,
    pseudo_label_statistics,
)
from .semi_batch import SemiBatch, SemiDataPreprocessor
from .semi_segmentor import SemiSegmentor

__all__ = [
    "ClassQuantileThreshold",
    "ConfidenceThreshold",
    "CutMix",
    "DistributionAlignment",
    "PseudoLabel",
    "SemiBatch",
    "SemiDataPreprocessor",
    "SemiSegmentor",
    "pseudo_label_statistics",
]
