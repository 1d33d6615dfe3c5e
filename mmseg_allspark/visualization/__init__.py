"""Arrays in, figure out."""

from .panels import class_palette, colour_labels, save_panels
from .pictures import colour_confidence, fit, join_panels
from .report import write_report

__all__ = ["class_palette", "colour_confidence", "colour_labels", "fit", "join_panels", "save_panels", "write_report"]
