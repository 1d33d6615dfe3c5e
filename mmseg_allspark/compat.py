"""What the two families of the mm* packages need so that one code base runs on both.

Imported first by the package; running it twice changes nothing.
"""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import mmengine.config.utils as config_utils
import numpy as np
import torch
from mmengine.logging import HistoryBuffer

FAMILIES = {
    "onedl-mmengine": "mmengine",
    "onedl-mmcv": "mmcv",
    "onedl-mmsegmentation": "mmsegmentation",
}


def installed(distribution: str) -> bool:
    """Whether a distribution of that name is installed."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def check_families() -> None:
    """Raise when distributions of both families are installed: they overwrite each other's files.

    Raises:
        ImportError: With the commands that mend it.
    """
    for fork, upstream in FAMILIES.items():
        if installed(fork) and installed(upstream):
            raise ImportError(
                f"Both {fork} and {upstream} are installed; they share one import name and overwrite each other. "
                f"Run: pip uninstall -y {fork} {upstream}, then install one of them again."
            )


def map_scope_to_package() -> None:
    """Let ``_base_ = 'mmseg::...'`` find the fork, whose distribution is not named mmsegmentation."""
    if not installed("mmsegmentation"):
        config_utils.MODULE2PACKAGE["mmseg"] = "mmseg"


def _history_method(owner: type, name: str) -> Callable:
    """The ``getattr`` that a pickled ``HistoryBuffer`` needs for its public methods, and no other."""
    if owner is not HistoryBuffer or name.startswith("_"):
        raise ValueError(f"A checkpoint asks for {owner!r}.{name}, which mmengine never stores; do not trust the file.")
    return getattr(owner, name)


def allow_checkpoint_types() -> None:
    """Let ``torch.load(weights_only=True)``, torch's default since 2.6, read what mmengine stores besides tensors."""
    kinds = [type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64, np.bool_)]
    scalar, reconstruct = np.float64(0).__reduce__()[0], np.empty(0).__reduce__()[0]
    torch.serialization.add_safe_globals(
        [HistoryBuffer, bytes, scalar, reconstruct, np.ndarray, np.dtype, *kinds, (_history_method, "builtins.getattr")]
    )


check_families()
map_scope_to_package()
allow_checkpoint_types()
