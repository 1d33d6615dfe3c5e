"""Pseudo labels: what they are, which of them count, and how they are mixed."""

from .alignment import DistributionAlignment
from .confidence import ClassQuantileThreshold, ConfidenceThreshold, build_confidence
from .cutmix import CutMix
from .pseudo_label import PseudoLabel, loaded_labels, masked_mean, mean_prediction
from .statistics import count_per_class, count_pseudo_labels, pseudo_label_statistics

__all__ = [
    "ClassQuantileThreshold",
    "ConfidenceThreshold",
    "CutMix",
    "DistributionAlignment",
    "PseudoLabel",
    "build_confidence",
    "count_per_class",
    "count_pseudo_labels",
    "loaded_labels",
    "masked_mean",
    "mean_prediction",
    "pseudo_label_statistics",
]
