"""When things happen: the loop and its stream of batches, hooks, and what a run is saved in."""

from .checkpoint import AtomicCheckpointHook, AtomicLocalBackend, CheckpointFitHook
from .hooks import (
    ChannelsLastHook,
    CollapseMonitorHook,
    CompileHook,
    MeanTeacherHook,
    NonFiniteHook,
    PredictionVisualizationHook,
    PseudoLabelReliabilityHook,
    PseudoLabelStatisticsHook,
    PseudoLabelVisualizationHook,
    ReportHook,
    SemanticMemoryHook,
    SnapshotHook,
    StartChecksHook,
    ValidationRecordHook,
)
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
    "CompileHook",
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
