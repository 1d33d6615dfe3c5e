"""Ways to learn from unlabeled images: one file, one method."""

from mmseg_allspark.labels import (
    ClassQuantileThreshold,
    ConfidenceThreshold,
    CutMix,
    DistributionAlignment,
    PseudoLabel,
    count_pseudo_labels,
    pseudo_label_statistics,
)

from .ael import AELSegmentor
from .augseg import AugSegSegmentor
from .corrmatch import CorrMatchSegmentor
from .cps import CPSSegmentor
from .esl import ESLSegmentor
from .guidedmix import GuidedMixSegmentor
from .joint_pass import JointPass
from .mean_teacher import MeanTeacherSegmentor
from .psmt import PSMTSegmentor
from .self_training import SelfTrainingSegmentor
from .semi_batch import SemiBatch, SemiDataPreprocessor
from .semi_segmentor import SemiSegmentor
from .step import Needs, Step
from .two_networks import TwoNetworkSegmentor
from .unimatch import UniMatchSegmentor
from .unimatch_v2 import UniMatchV2Segmentor

__all__ = [
    "AELSegmentor",
    "AugSegSegmentor",
    "CPSSegmentor",
    "ClassQuantileThreshold",
    "ConfidenceThreshold",
    "CorrMatchSegmentor",
    "CutMix",
    "DistributionAlignment",
    "ESLSegmentor",
    "GuidedMixSegmentor",
    "JointPass",
    "MeanTeacherSegmentor",
    "Needs",
    "PSMTSegmentor",
    "PseudoLabel",
    "SelfTrainingSegmentor",
    "SemiBatch",
    "SemiDataPreprocessor",
    "SemiSegmentor",
    "Step",
    "TwoNetworkSegmentor",
    "UniMatchSegmentor",
    "UniMatchV2Segmentor",
    "count_pseudo_labels",
    "pseudo_label_statistics",
]
