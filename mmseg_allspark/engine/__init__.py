"""When things happen: the loop and its stream of batches, hooks, and what a run is saved in."""

from .checkpoint.atomic import AtomicCheckpointHook, AtomicLocalBackend
from .checkpoint.fit import CheckpointFitHook
from .hooks.channels_last import ChannelsLastHook
from .hooks.collapse_monitor import CollapseMonitorHook
from .hooks.mean_teacher import MeanTeacherHook
from .hooks.non_finite import NonFiniteHook
from .hooks.prediction_visualization import PredictionVisualizationHook
from .hooks.pseudo_label_reliability import PseudoLabelReliabilityHook
from .hooks.pseudo_label_statistics import PseudoLabelStatisticsHook
from .hooks.pseudo_label_visualization import PseudoLabelVisualizationHook
from .hooks.report import ReportHook
from .hooks.semantic_memory import SemanticMemoryHook
from .hooks.snapshots import SnapshotHook
from .hooks.start_checks import StartChecksHook
from .hooks.validation_record import ValidationRecordHook
from .loop import PseudoLabelLoop
from .optim_wrapper import AutocastOptimWrapper
from .self_training import SelfTraining, Stage
from .stream import StreamBatchSampler
from .stream_loop import SupervisedLoop

__all__ = [
    "AtomicCheckpointHook",
    "AtomicLocalBackend",
    "AutocastOptimWrapper",
    "ChannelsLastHook",
    "CheckpointFitHook",
    "CollapseMonitorHook",
    "MeanTeacherHook",
    "NonFiniteHook",
    "PredictionVisualizationHook",
    "PseudoLabelLoop",
    "PseudoLabelReliabilityHook",
    "PseudoLabelStatisticsHook",
    "PseudoLabelVisualizationHook",
    "ReportHook",
    "SelfTraining",
    "SemanticMemoryHook",
    "SnapshotHook",
    "Stage",
    "StartChecksHook",
    "StreamBatchSampler",
    "SupervisedLoop",
    "ValidationRecordHook",
]
