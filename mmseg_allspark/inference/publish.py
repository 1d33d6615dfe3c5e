"""A checkpoint to hand on: weights, classes and config, and nothing about the machine it was trained on."""

import hashlib
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch
from mmengine.config import Config

from mmseg_allspark.utils.embedded_config import parse_plain_config
from mmseg_allspark.utils.files import write_whole
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint

from .models import choose_weights

KEPT_META = ("epoch", "iter", "seed", "mmengine_version", "dataset_meta", "CLASSES", "PALETTE")
# keys of the config, at any depth, that say where and by whom it was run
_PERSONAL = ("work_dir", "load_from", "resume", "experiment_name", "out_dir", "save_dir", "init_kwargs")
# absolute, of a home folder, going up, of a Windows drive, with a password
_PRIVATE_PATH = re.compile(r"(^|[\s'\":=,;])(/\w|~|\.\.[/\\]|[A-Za-z]:[\\/]|\\\\\w)|//[^/@\s]+@")
_QUERY = re.compile(r"(://[^\s?#]*)[?#]\S*")  # an address may carry a token
_HOME = re.compile(r"~[^/\\]*|/root|(/home|/Users|[A-Za-z]:[\\/]Users)[\\/][^/\\]+")


@dataclass
class Published:
    """What :func:`publish_checkpoint` did."""

    path: Path  # the file it wrote
    weights: str  # 'ema' or 'model'
    dropped: list[str]  # parts of the checkpoint that were left out, those of ``meta`` as ``meta.<key>``
    changed: dict[str, str]  # keys of the config that were removed or changed, with what became of them


def publish_checkpoint(source: str | os.PathLike, target: str | os.PathLike, which: str | None = None) -> Published:
    """Write a checkpoint without what only training needs, and with its own hash in its name.

    Args:
        source: A checkpoint of training.
        target: File to write, ``name.pth``; it becomes ``name-<8 digits>.pth``, the first of its SHA-256, which
            torch.hub can check.
        which: ``'ema'``, ``'model'`` or None: those stored as ``state_dict``, the evaluated ones.

    Returns:
        What was written and what was left out.

    Raises:
        FileNotFoundError, UnsafeCheckpointError: If the source does not exist or could run code.
        ValueError: If it does not have these weights, or ``target`` does not end in ``.pth``.
    """
    target = Path(target)
    if target.suffix != ".pth":
        raise ValueError(f"{target}: the name of a checkpoint ends in .pth.")
    checkpoint = load_checkpoint(source, map_location="cpu")
    weights, which = choose_weights(checkpoint, which, str(source))
    meta = checkpoint.get("meta") or {}
    kept = {key: meta[key] for key in KEPT_META if key in meta} | dict(weights=which)
    dropped = [key for key in checkpoint if key not in ("state_dict", "meta")]
    dropped += [f"meta.{key}" for key in meta if key not in kept and key != "cfg"]
    changed = {}
    if meta.get("cfg"):
        try:
            values = parse_plain_config(meta["cfg"])
            changed = scrub(values)
            kept["cfg"] = Config(values).pretty_text
        except (SyntaxError, ValueError) as error:
            dropped.append(f"meta.cfg ({error})")
    state_dict = {key: value.detach().clone() for key, value in weights.items()}
    content = to_bytes(dict(meta=kept, state_dict=state_dict))
    path = target.with_name(f"{target.stem}-{hashlib.sha256(content).hexdigest()[:8]}.pth")
    write_whole(content, path)
    return Published(path, which, dropped, changed)


def scrub(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Remove from the values of a config what tells about people and machines.

    Args:
        values: Changed in place, keys as well as values: keys about folders and accounts are removed; of a path that is
            absolute, leads to a home folder or goes up only the last part is kept ('.' for a home folder itself); of an
            address what follows '?' is left out, which may be a token. Names of ``classes`` stay.
        prefix: Of the keys, for the result.

    Returns:
        Key -> 'removed' or the new value.
    """
    changed = {}
    for key in [key for key in values if key in _PERSONAL]:
        if values.pop(key) not in (None, False):
            changed[f"{prefix}{key}"] = "removed"
    for key in list(values):  # in their order, as a key may get another name
        value, name = values.pop(key), _without_place(key) if isinstance(key, str) else key
        if name != key:
            name = f"{name}_{len(values)}" if name in values else name
            changed[f"{prefix}{name}"] = "renamed"
        values[name] = value if name == "classes" else _scrubbed(value, f"{prefix}{name}", changed)
    return changed


def _scrubbed(value: Any, key: str, changed: dict[str, str]) -> Any:
    if isinstance(value, dict):
        changed.update(scrub(value, f"{key}."))
    elif isinstance(value, (list, tuple)):
        return type(value)(_scrubbed(item, f"{key}.{index}", changed) for index, item in enumerate(value))
    elif isinstance(value, str) and _without_place(value) != value:
        value = _without_place(value)
        changed[key] = repr(value)
    return value


def _without_place(text: str) -> str:
    text = _QUERY.sub(r"\1", text)
    if not _PRIVATE_PATH.search(text):
        return text
    return "." if _HOME.fullmatch(text.rstrip("/\\")) else PureWindowsPath(PurePosixPath(text).name).name


def to_bytes(checkpoint: dict) -> bytes:
    """Return what ``torch.save`` writes, without a file's name in it: the same for the same content."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()
