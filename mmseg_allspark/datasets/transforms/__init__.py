"""Transforms, registered in mmseg's TRANSFORMS."""

from .color import RandomColorJitter, RandomGaussianBlur, RandomGray
from .cutout import RandomNoiseCutOut
from .decoding import DataFileError
from .geometry import PadAndMark, RandomResizeLongSide
from .intensity import RandomIntensity
from .loading import LoadImage, LoadSegMask
from .pseudo_labels import LoadPseudoLabel
from .views import MultiView, PackSemiInputs

__all__ = [
    "DataFileError",
    "LoadImage",
    "LoadPseudoLabel",
    "LoadSegMask",
    "MultiView",
    "PackSemiInputs",
    "PadAndMark",
    "RandomColorJitter",
    "RandomNoiseCutOut",
    "RandomGaussianBlur",
    "RandomGray",
    "RandomIntensity",
    "RandomResizeLongSide",
]
