"""Ways to learn from unlabeled images: one file, one method."""

from .cutmix import CutMix
from .guidedmix import GuidedMixSegmentor
from .joint_pass import JointPass
from .mean_teacher import MeanTeacherSegmentor
from .pseudo_label import (
    ClassQuantileThreshold,
    ConfidenceThreshold,
    DistributionAlignment,
    PseudoLabel,
    count_pseudo_labels,
    pseudo_label_statistics,
)
from .semi_batch import SemiBatch, SemiDataPreprocessor
from .semi_segmentor import SemiSegmentor
from .step import Needs, Step
from .unimatch import UniMatchSegmentor

__all__ = [
    "ClassQuantileThreshold",
    "ConfidenceThreshold",
    "CutMix",
    "DistributionAlignment",
    "GuidedMixSegmentor",
    "JointPass",
    "MeanTeacherSegmentor",
    "Needs",
    "PseudoLabel",
    "SemiBatch",
    "SemiDataPreprocessor",
    "SemiSegmentor",
    "Step",
    "UniMatchSegmentor",
    "count_pseudo_labels",
    "pseudo_label_statistics",
]
