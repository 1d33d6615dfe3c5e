"""Arrays in, figure out."""

from .bar_figures import draw_class_shares, draw_rates
from .class_match import class_shares, match_classes
from .map_figures import ChannelBlock, MemoryEntry, draw_channels, draw_memory
from .panels import colour_labels, save_panels
from .recorder import Recorder
from .style import save_figure

__all__ = [
    "ChannelBlock",
    "MemoryEntry",
    "Recorder",
    "class_shares",
    "colour_labels",
    "draw_channels",
    "draw_class_shares",
    "draw_memory",
    "draw_rates",
    "match_classes",
    "save_figure",
    "save_panels",
]
