"""What a run did and what a model sees, as a page and as pictures."""

from .label_pictures import class_legend, colour_confidence, colour_labels, fit, join_panels
from .paper_figures import (
    ChannelBlock,
    MemoryEntry,
    class_shares,
    draw_channels,
    draw_class_shares,
    draw_memory,
    draw_rates,
    match_classes,
    save_figure,
)
from .recorder import Recorder
from .report import write_report

__all__ = [
    "ChannelBlock",
    "MemoryEntry",
    "Recorder",
    "class_legend",
    "class_shares",
    "colour_confidence",
    "colour_labels",
    "draw_channels",
    "draw_class_shares",
    "draw_memory",
    "draw_rates",
    "fit",
    "join_panels",
    "match_classes",
    "save_figure",
    "write_report",
]
