"""Transforms, registered in mmseg's TRANSFORMS."""

from .color import RandomColorJitter, RandomGaussianBlur, RandomGray
from .geometry import RandomResizeLongSide
from .loading import DataFileError, LoadImage, LoadSegMask
from .views import MultiView, PackSemiInputs

__all__ = [
    "DataFileError",
    "LoadImage",
    "LoadSegMask",
    "MultiView",
    "PackSemiInputs",
    "RandomColorJitter",
    "RandomGaussianBlur",
    "RandomGray",
    "RandomResizeLongSide",
]
