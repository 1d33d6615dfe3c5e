"""Hooks: what is done and watched beside the training steps, one file each."""

from .collapse_monitor import CollapseMonitorHook
from .mean_teacher import MeanTeacherHook
from .non_finite import NonFiniteHook
from .prediction_visualization import PredictionVisualizationHook
from .pseudo_label_reliability import PseudoLabelReliabilityHook
from .pseudo_label_statistics import PseudoLabelStatisticsHook
from .pseudo_label_visualization import PseudoLabelVisualizationHook
from .report import ReportHook
from .semantic_memory import SemanticMemoryHook
from .snapshots import SnapshotHook
from .speed import ChannelsLastHook, CompileHook
from .start_checks import StartChecksHook
from .validation_record import ValidationRecordHook

__all__ = [
    "ChannelsLastHook",
    "CollapseMonitorHook",
    "CompileHook",
    "MeanTeacherHook",
    "NonFiniteHook",
    "PredictionVisualizationHook",
    "PseudoLabelReliabilityHook",
    "PseudoLabelStatisticsHook",
    "PseudoLabelVisualizationHook",
    "ReportHook",
    "SemanticMemoryHook",
    "SnapshotHook",
    "StartChecksHook",
    "ValidationRecordHook",
]
