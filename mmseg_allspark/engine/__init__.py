"""When things happen: the loop and its stream of batches, hooks, and what a run is saved in."""

from .checkpoint import AtomicCheckpointHook, AtomicLocalBackend, CheckpointFitHook
from .hooks import (
    ChannelsLastHook,
    CollapseMonitorHook,
    CompileHook,
    MeanTeacherHook,
    NonFiniteHook,
    PredictionVisualizationHook,
    PseudoLabelStatisticsHook,
    PseudoLabelVisualizationHook,
    ReportHook,
    SemanticMemoryHook,
    StartChecksHook,
    ValidationRecordHook,
)
from .loop import PseudoLabelLoop
from .optim_wrapper import AutocastOptimWrapper
from .stream import StreamBatchSampler

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
    "PseudoLabelStatisticsHook",
    "PseudoLabelVisualizationHook",
    "ReportHook",
    "SemanticMemoryHook",
    "StartChecksHook",
    "StreamBatchSampler",
    "ValidationRecordHook",
]
