"""Arrays in, figure out."""

from .bar_figures import draw_class_shares, draw_rates
from .class_match import class_shares, match_classes
from .map_figures import ChannelBlock, MemoryEntry, draw_channels, draw_memory
from .panels import class_palette, colour_labels, save_panels
from .pictures import colour_confidence, fit, join_panels, to_picture
from .recorder import Recorder
from .report import write_report
from .style import save_figure

__all__ = [
    "ChannelBlock",
    "MemoryEntry",
    "Recorder",
    "class_palette",
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
    "save_panels",
    "to_picture",
    "write_report",
]
