"""Ways to learn from unlabeled images: one file, one method."""

from .ael import AELSegmentor
from .augseg import AugSegSegmentor
from .ccvc import CCVCSegmentor
from .corrmatch import CorrMatchSegmentor
from .cps import CPSSegmentor
from .dgcl import DGCLSegmentor
from .esl import ESLSegmentor
from .gta import GTASegmentor
from .guidedmix import GuidedMixSegmentor
from .joint_pass import JointPass
from .mean_teacher import MeanTeacherSegmentor
from .mkd import MKDSegmentor
from .pseudoseg import PseudoSegSegmentor
from .psmt import PSMTSegmentor
from .self_training import SelfTrainingSegmentor
from .semi_batch import SemiBatch, SemiDataPreprocessor
from .semi_segmentor import SemiSegmentor
from .semicvt import SemiCVTSegmentor
from .step import Needs, Step
from .two_networks import TwoNetworkSegmentor
from .u2pl import U2PLSegmentor
from .unimatch import UniMatchSegmentor
from .unimatch_v2 import UniMatchV2Segmentor

__all__ = [
    "AELSegmentor",
    "AugSegSegmentor",
    "CCVCSegmentor",
    "CPSSegmentor",
    "CorrMatchSegmentor",
    "DGCLSegmentor",
    "ESLSegmentor",
    "GTASegmentor",
    "GuidedMixSegmentor",
    "JointPass",
    "MKDSegmentor",
    "MeanTeacherSegmentor",
    "Needs",
    "PSMTSegmentor",
    "PseudoSegSegmentor",
    "SelfTrainingSegmentor",
    "SemiBatch",
    "SemiCVTSegmentor",
    "SemiDataPreprocessor",
    "SemiSegmentor",
    "Step",
    "TwoNetworkSegmentor",
    "U2PLSegmentor",
    "UniMatchSegmentor",
    "UniMatchV2Segmentor",
]
