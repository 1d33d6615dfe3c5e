"""When things happen: loop, hooks and what they check."""

from .batch_stream import StreamBatchSampler
from .pseudo_label_loop import PseudoLabelLoop
from .pseudo_label_statistics_hook import PseudoLabelStatisticsHook
from .semantic_memory_hook import SemanticMemoryHook

__all__ = ["PseudoLabelLoop", "PseudoLabelStatisticsHook", "SemanticMemoryHook", "StreamBatchSampler"]
