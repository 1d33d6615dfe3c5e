"""Semi-supervised semantic segmentation for MMSegmentation: AllSpark (CVPR 2024) and its rivals.

Importing this package registers everything in mmseg's registries (scope ``mmseg``):
``custom_imports = dict(imports=['mmseg_allspark'])`` is all that a config needs.
"""

import sys

from .version import __version__

# ``python -m mmseg_allspark.doctor`` imports this file first, and has to speak where all else cannot be imported
if ("-m", "mmseg_allspark.doctor") not in zip(sys.orig_argv, sys.orig_argv[1:], strict=False):
    from .environment import prepare
    from .quiet_import import import_mmseg

    prepare()  # first: it settles what differs between the two families
    import_mmseg()
    from . import convert, datasets, engine, labels, methods, models
    from .runs import Run, train

__all__ = ["Run", "__version__", "convert", "datasets", "engine", "labels", "methods", "models", "train"]
