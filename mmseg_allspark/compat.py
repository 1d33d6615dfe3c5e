"""What the two families of the mm* packages need so that one code base runs on both.

Imported first by the package; running it twice changes nothing.
"""

from importlib.metadata import PackageNotFoundError, version

import mmengine.config.utils as config_utils
import torch

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


def allow_checkpoint_types() -> None:
    """Let ``torch.load(weights_only=True)`` read what mmengine stores in a checkpoint besides tensors."""
    if not hasattr(torch.serialization, "add_safe_globals"):  # torch < 2.4 has no such list
        return
    import numpy as np
    from mmengine.logging import HistoryBuffer

    kinds = [np.dtypes.Float32DType, np.dtypes.Float64DType, np.dtypes.Int64DType] if hasattr(np, "dtypes") else []
    scalar = np.float64(0).__reduce__()[0]
    reconstruct = np.empty(0).__reduce__()[0]
    torch.serialization.add_safe_globals([HistoryBuffer, scalar, reconstruct, np.ndarray, np.dtype, *kinds])


check_families()
map_scope_to_package()
allow_checkpoint_types()
