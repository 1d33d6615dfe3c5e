"""Arrays in, figure out."""

from .panels import colour_labels, save_panels

__all__ = ["colour_labels", "save_panels"]
