"""When things happen: loop, hooks and what they check."""

from .atomic_checkpoints import AtomicCheckpointHook, AtomicLocalBackend
from .autocast_optim_wrapper import AutocastOptimWrapper
from .batch_stream import StreamBatchSampler
from .checkpoint_fit_hook import CheckpointFitHook
from .collapse_monitor_hook import CollapseMonitorHook
from .mean_teacher_hook import MeanTeacherHook
from .non_finite_hook import NonFiniteHook
from .prediction_visualization_hook import PredictionVisualizationHook
from .pseudo_label_loop import PseudoLabelLoop
from .pseudo_label_statistics_hook import PseudoLabelStatisticsHook
from .pseudo_label_visualization_hook import PseudoLabelVisualizationHook
from .report_hook import ReportHook
from .semantic_memory_hook import SemanticMemoryHook
from .speed_hooks import ChannelsLastHook, CompileHook
from .validation_record_hook import ValidationRecordHook

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
    "StreamBatchSampler",
    "ValidationRecordHook",
]
