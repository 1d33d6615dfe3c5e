"""Checkpoints without running what a pickle may contain, for all that mmengine loads in our tools."""

from __future__ import annotations

import functools
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

TRUST = "MMSEG_ALLSPARK_TRUST_CHECKPOINTS"
_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # torch's own switch, stronger than arguments of torch.load


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


@contextmanager
def _naming_unsafe(name: str) -> Iterator[None]:
    """Turn torch's error about a file that holds more than weights into one that names the file and the way out."""
    _allow_types()
    try:
        yield
    except (pickle.UnpicklingError, EOFError) as error:
        raise _refusal(name, error) from error


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
        raise FileNotFoundError(
            f"The checkpoint {path} {'is an address: download it' if '://' in path else 'does not exist'}."
        )
    with open(path, "rb") as stream:
        is_archive = stream.read(2) == b"PK"
    if is_archive and not zipfile.is_zipfile(path):  # torch's own words name neither file nor reason
        raise ValueError(f"The checkpoint {path} is cut off: copy or download it again.")
    with _naming_unsafe(str(path)):
        return torch.load(path, map_location=map_location, weights_only=not _trusted())


def _load_from_local(filename: str, map_location: Any = None) -> Any:
    return load_checkpoint(filename, map_location)


def _make_safe(load: Callable) -> Callable:
    """Wrap one of mmengine's loaders so that torch uses ``weights_only=True``, whatever it is asked for."""

    @functools.wraps(load)
    def load_safely(filename: str, *args: Any, **kwargs: Any) -> Any:
        before = os.environ.get(_FORCE, "0")
        os.environ[_FORCE] = "0" if _trusted() else "1"
        try:
            with _naming_unsafe(filename):
                return load(filename, *args, **kwargs)
        except KeyError as error:
            raise ValueError(f"mmengine knows no {filename}: correct it, or give a file or an address.") from error
        finally:
            os.environ[_FORCE] = before

    return load_safely


def load_safely_from_now_on() -> None:
    """Let ``load_from``, ``resume`` and ``init_cfg`` of mmengine load files and addresses without running code.

    mmengine's own loaders fall back to ``weights_only=False`` where the safe way fails, and use it for addresses
    at once. Replaces them through mmengine's registration, for this process.
    """
    CheckpointLoader.register_scheme("", _load_from_local, force=True)
    for scheme, load in list(CheckpointLoader._schemes.items()):
        if scheme and not hasattr(load, "__wrapped__"):
            CheckpointLoader.register_scheme(scheme, _make_safe(load), force=True)


_allow_types()  # for mmengine's own loading and users' torch.load, too
