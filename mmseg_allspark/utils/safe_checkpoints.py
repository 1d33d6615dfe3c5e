"""Checkpoints without running what a pickle may contain, for all that mmengine loads in our tools."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    _get_mmengine_home,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

TRUST = "MMSEG_ALLSPARK_TRUST_CHECKPOINTS"
_ZOOS = {
    "open-mmlab": get_external_models,
    "openmmlab": get_external_models,
    "torchvision": get_torchvision_models,
    "modelzoo": get_torchvision_models,
    "mmcls": get_mmcls_models,
}


class UnsafeCheckpointError(RuntimeError):
    """A checkpoint holds more than tensors and plain values; the message names the file and the way out."""


def _history_method(owner: type, name: str) -> Callable:
    """The ``getattr`` that a pickled ``HistoryBuffer`` needs for its public methods, and no other."""
    if owner is not HistoryBuffer or name.startswith("_"):
        raise ValueError(f"A checkpoint asks for {owner!r}.{name}, which mmengine never stores; do not trust the file.")
    return getattr(owner, name)


def _allow_types() -> None:
    """Let ``torch.load(weights_only=True)``, torch's default, read what mmengine stores besides tensors.

    Done before every load: the fork's mmengine takes types off torch's list again whenever it has loaded a file.
    """
    names = ("float32", "float64", "int64", "bool", "int32", "uint8", "uint32")
    kinds = [type(np.dtype(name)) for name in names]
    scalar, reconstruct = np.float64(0).__reduce__()[0], np.empty(0).__reduce__()[0]
    own = [HistoryBuffer, bytes, slice, (_history_method, "builtins.getattr")]
    torch.serialization.add_safe_globals([*own, *kinds, scalar, reconstruct, np.ndarray, np.dtype])


def _trusted() -> bool:
    return os.environ.get(TRUST) == "1"


def _refusal(name: str, error: Exception) -> UnsafeCheckpointError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = next((line.strip() for line in lines if "Unsupported" in line), lines[0])
    reason = reason.partition(" Please use")[0]  # torch explains at length
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
        ValueError: If it is cut off.
    """
    path = os.path.expanduser(filename)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"The checkpoint {path} does not exist.")
    with open(path, "rb") as stream:
        is_archive = stream.read(2) == b"PK"
    if is_archive and not zipfile.is_zipfile(path):  # torch's own words name neither file nor reason
        raise ValueError(f"The checkpoint {path} is cut off: copy or download it again.")
    _allow_types()
    try:
        return torch.load(path, map_location=map_location, weights_only=not _trusted())
    except (pickle.UnpicklingError, EOFError) as error:
        raise _refusal(str(path), error) from error


def _load_from_local(filename: str, map_location: Any = None) -> Any:
    return load_checkpoint(filename, map_location)


def _load_from_http(filename: str, map_location: Any = None) -> Any:
    rank, world_size = get_dist_info()
    _allow_types()

    def load() -> Any:
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


def _load_from_zoo(filename: str, map_location: Any = None) -> Any:
    """Load e.g. ``open-mmlab://resnet101_v1c`` from the address, or file below mmengine's home, that mmengine knows."""
    scheme, _, name = filename.partition("://")
    addresses = _ZOOS[scheme]()
    name = get_deprecated_model_names().get(name, name) if scheme in ("open-mmlab", "openmmlab") else name
    if name not in addresses:
        close = ", ".join(get_close_matches(name, addresses)) or "none like it"
        raise ValueError(f"mmengine knows no {scheme}://{name}; it has {close}.")
    address = addresses[name]
    if not address.startswith(("http://", "https://")):
        return load_checkpoint(os.path.join(_get_mmengine_home(), address), map_location)
    checkpoint = _load_from_http(address, map_location)
    if scheme != "mmcls":
        return checkpoint
    weights = checkpoint.get("state_dict", checkpoint)  # of a classifier, for its backbone
    return dict(state_dict={key.removeprefix("backbone."): weights[key] for key in weights if "backbone." in key})


def load_safely_from_now_on() -> None:
    """Let ``load_from``, ``resume`` and ``init_cfg`` of mmengine load files and addresses without running code.

    mmengine's own loaders fall back to ``weights_only=False`` where the safe way fails, and use it for addresses
    at once. Replaces them through mmengine's registration, for this process; those of storage services (``s3://``,
    ``petrel://``, ``pavi://``) stay mmengine's.
    """
    CheckpointLoader.register_scheme("", _load_from_local, force=True)
    CheckpointLoader.register_scheme(["http://", "https://"], _load_from_http, force=True)
    CheckpointLoader.register_scheme([f"{scheme}://" for scheme in _ZOOS], _load_from_zoo, force=True)


_allow_types()  # for mmengine's own loading and users' torch.load, too
