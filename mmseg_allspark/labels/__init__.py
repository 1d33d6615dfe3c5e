"""Pseudo labels: what they are, which of them count, and how they are mixed."""

from .adaptive_cutmix import AdaptiveCutMix
from .adversarial import adversarial_noise
from .alignment import DistributionAlignment
from .class_confidence import ClassConfidenceBank
from .class_mixing import ClassCopyPaste, ClassCutMix
from .components import connected_components
from .confidence import ClassQuantileThreshold, ConfidenceThreshold, build_confidence
from .cutmix import CutMix
from .cutout import CutOut
from .entropy import masked_quantiles, max_probability, prediction_entropy
from .fusion import equalize_logits, fuse_predictions
from .label_spreading import spread_labels
from .pseudo_label import PseudoLabel, loaded_labels, masked_mean, mean_prediction
from .reliability import image_reliability, split_by_reliability
from .running_threshold import GlobalMaxThreshold
from .statistics import count_per_class, count_pseudo_labels, count_right_labels, pseudo_label_statistics

__all__ = [
    "AdaptiveCutMix",
    "ClassConfidenceBank",
    "ClassCopyPaste",
    "ClassCutMix",
    "ClassQuantileThreshold",
    "ConfidenceThreshold",
    "CutMix",
    "CutOut",
    "DistributionAlignment",
    "GlobalMaxThreshold",
    "PseudoLabel",
    "adversarial_noise",
    "build_confidence",
    "connected_components",
    "count_per_class",
    "count_pseudo_labels",
    "count_right_labels",
    "equalize_logits",
    "fuse_predictions",
    "loaded_labels",
    "masked_mean",
    "masked_quantiles",
    "max_probability",
    "mean_prediction",
    "prediction_entropy",
    "pseudo_label_statistics",
    "image_reliability",
    "split_by_reliability",
    "spread_labels",
]
