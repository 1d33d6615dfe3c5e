"""When things happen: loop, hooks and what they check."""

from .atomic_checkpoints import AtomicCheckpointHook, AtomicLocalBackend
from .autocast_optim_wrapper import AutocastOptimWrapper
from .batch_stream import StreamBatchSampler
from .checkpoint_fit_hook import CheckpointFitHook
from .pseudo_label_loop import PseudoLabelLoop
from .pseudo_label_statistics_hook import PseudoLabelStatisticsHook
from .semantic_memory_hook import SemanticMemoryHook
from .speed_hooks import ChannelsLastHook, CompileHook

__all__ = [
    "AtomicCheckpointHook",
    "AtomicLocalBackend",
    "AutocastOptimWrapper",
    "ChannelsLastHook",
    "CheckpointFitHook",
    "CompileHook",
    "PseudoLabelLoop",
    "PseudoLabelStatisticsHook",
    "SemanticMemoryHook",
    "StreamBatchSampler",
]
