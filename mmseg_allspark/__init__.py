"""Semi-supervised semantic segmentation for MMSegmentation: AllSpark (CVPR 2024) and its rivals.

Importing this package registers everything in mmseg's registries (scope ``mmseg``):
``custom_imports = dict(imports=['mmseg_allspark'])`` is all that a config needs.
"""

from . import compat  # isort: skip  # first: it settles what differs between the two families
from . import convert, datasets, engine, methods, models
from .version import __version__

__all__ = ["__version__", "compat", "convert", "datasets", "engine", "methods", "models"]
