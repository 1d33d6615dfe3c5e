"""Checkpoints without running what a pickle may contain, for all that mmengine loads in our tools."""

from __future__ import annotations

import os
import pickle
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info
from mmengine.runner import CheckpointLoader
from mmengine.utils import digit_version

from mmseg_allspark.compat import allow_checkpoint_types

TRUST = "MMSEG_ALLSPARK_TRUST_CHECKPOINTS"


class UnsafeCheckpointError(RuntimeError):
    """A checkpoint holds more than tensors and plain values; the message names the file and the way out."""


def _allow_types() -> None:
    """Let ``weights_only=True`` read what mmengine stores; at every load, as mmengine's own loaders take it back."""
    if digit_version(torch.__version__) < digit_version("2.6.0"):
        return
    allow_checkpoint_types()
    kinds = [type(np.dtype(kind)) for kind in (np.int32, np.uint8, np.uint32)]
    torch.serialization.add_safe_globals([slice, *kinds])


def _trusted() -> bool:
    return os.environ.get(TRUST) == "1"


def _refusal(name: str, error: Exception) -> UnsafeCheckpointError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UnsafeCheckpointError(
        f"{name} was not loaded: it is damaged, or holds more than weights and plain values, and loading that could "
        f"run code that somebody put there ({reason}). Only if you trust where the file comes from: set the "
        f"environment variable {TRUST}=1 and run the command again."
    )


def load_checkpoint(filename: str | os.PathLike, map_location: Any = None) -> Any:
    """Load a local file with ``weights_only=True``.

    Args:
        filename: The checkpoint.
        map_location: As in ``torch.load``. Default: None.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: If there is no such file.
        UnsafeCheckpointError: If it holds more than weights and plain values, unless the environment variable
            MMSEG_ALLSPARK_TRUST_CHECKPOINTS is 1.
    """
    path = os.path.expanduser(filename)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"The checkpoint {path} does not exist.")
    _allow_types()
    try:
        return torch.load(path, map_location=map_location, weights_only=not _trusted())
    except (pickle.UnpicklingError, EOFError) as error:
        raise _refusal(str(path), error) from error


def _load_from_local(filename: str, map_location: Any = None) -> Any:
    return load_checkpoint(filename, map_location)


def _load_from_http(filename: str, map_location: Any = None) -> Any:
    rank, world_size = get_dist_info()

    def load() -> Any:
        _allow_types()
        try:
            return torch.hub.load_state_dict_from_url(
                filename, map_location=map_location, progress=os.isatty(0), weights_only=not _trusted()
            )
        except pickle.UnpicklingError as error:
            raise _refusal(filename, error) from error

    checkpoint = load() if rank == 0 else None  # it downloads, the others find the file
    if world_size > 1:
        barrier()
    return load() if rank > 0 else checkpoint


def load_safely_from_now_on() -> None:
    """Let ``load_from``, ``resume`` and ``init_cfg`` of mmengine load local files and addresses without running code.

    mmengine's own loaders fall back to ``weights_only=False`` where the safe way fails, and use it for addresses
    at once. Replaces them through mmengine's registration, for this process. Nothing is changed for torch older than
    2.6, which cannot be told what mmengine stores in its checkpoints.
    """
    if digit_version(torch.__version__) < digit_version("2.6.0"):
        return
    _allow_types()
    CheckpointLoader.register_scheme("", _load_from_local, force=True)
    CheckpointLoader.register_scheme(["http://", "https://"], _load_from_http, force=True)
