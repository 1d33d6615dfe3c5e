"""The first import of mmseg, which has notices for everyone that nobody can do anything about."""

import contextlib
import io
import logging
import sys
import warnings
from importlib import import_module


def import_mmseg() -> None:
    """Import mmseg without its notices of optional parts that are not installed."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # CUDA's compiler without a GPU
    said = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said):
            warnings.filterwarnings("ignore", message="Fail to import ``MultiScaleDeformableAttention``")
            for name in ("mmseg.datasets", "mmseg.models", "mmseg.apis"):
                import_module(name)
    finally:
        sys.stdout.write(said.getvalue().replace("Could not import OneDL\n", ""))
