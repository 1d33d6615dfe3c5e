"""Reading config files, and what is refused in them whoever reads them."""

import ast
import inspect
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Set
from importlib import import_module
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import load
from mmengine.runner import Runner

from mmseg_allspark.utils.config_types import name_types

# top-level keys that something reads; all others are variables of the config file
READ = set(inspect.signature(Runner.__init__).parameters) | {
    "activation_checkpointing",
    "auto_scale_lr",
    "compile",
    "custom_imports",
    "efficient_conv_bn_eval",
    "find_unused_parameters",
    "model_wrapper_cfg",
    "runner_type",
    "self_training",
    "test_pipeline",
    "tta_model",
    "tta_pipeline",
    "unlabeled_dataloader",
}
LOADERS = ("train_dataloader", "unlabeled_dataloader", "val_dataloader", "test_dataloader")
_MOST_SHOWN = 8
_MMPRETRAIN = "mmpretrain.models"


def read_config(path: str | os.PathLike, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config file, of either of mmengine's kinds, and name its types.

    Args:
        path: The file.
        options: Changes, nested keys with dots. Default None.

    Raises:
        ImportError: If it needs ``mmpretrain.models``, which cannot be imported; mmengine's error names neither the
            reason nor a way out.
        TypeError: As :func:`check_loaders`.
        ValueError: As :func:`name_types`.
    """
    try:
        cfg = Config.fromfile(path)
    except ImportError as error:
        if f"'{_MMPRETRAIN}'" not in str(error):
            raise
        raise _advise_imports(path, error) from error
    cfg.merge_from_dict(options or {})
    cfg = name_types(cfg)
    if re.search(r"'type': 'mmpretrain\.", str(cfg._cfg_dict)) and _MMPRETRAIN not in sys.modules:
        try:
            import_module(_MMPRETRAIN)  # as mmengine's registry does when it builds the model
        except ImportError as error:
            raise _advise_imports(path, error) from error
    check_loaders(cfg)
    return cfg


def check_variables(path: str | os.PathLike, read_above: Set[str] = frozenset()) -> set[str]:
    """Refuse variables that a config file sets after its ``_base_`` has used them, and that no file reads afterwards.

    A dict is warned of instead: configs of mmseg's zoo set ``norm_cfg`` that way.

    Args:
        path: The file; its bases are looked at too.
        read_above: Variables that the files read which inherit from it. Default none.

    Returns:
        The variables that the file and its bases read.

    Raises:
        ValueError: Naming the file and the keys that do have an effect.
    """
    assigned, read = _variables(path)
    found = set(read)
    for base_name in Config._get_base_files(str(path)):
        if "{{" in base_name:  # known to mmengine's reader alone, such as {{fileDirname}}
            continue
        base_path, _ = Config._get_cfg_path(base_name, str(path))
        read_below = check_variables(base_path, read | read_above)
        found |= read_below
        unread = (assigned & read_below) - read - read_above - READ - {"_base_"}
        if unread:
            _refuse_unread(path, base_path, unread)
    return found


def _variables(path: str | os.PathLike) -> tuple[set[str], set[str]]:
    """Top-level names that a single config file sets, and those that it reads, of its own or of its ``_base_``."""
    if not str(path).endswith(".py"):
        return set(load(path)), set()
    text = Path(path).read_text(encoding="utf-8")
    names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
    assigned = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    return assigned, read | set(re.findall(r"\b_base_\W+(?:get\W+)?(\w+)", text))


def _refuse_unread(path: str | os.PathLike, base_path: str, names: Iterable[str]) -> None:
    """Raise or warn if a base's value of a variable is still in the config, and the value of the file is nowhere."""
    cfg, base = (Config.fromfile(file, import_custom_modules=False) for file in (path, base_path))
    before, now = find_settings(base), find_settings(cfg)
    for name in sorted(base.keys() & cfg.keys() & set(names)):
        value, old = cfg[name], base[name]
        by_value = bool(old) and not isinstance(old, (int, float))  # other keys have equal numbers by chance
        same = [
            key
            for key, kept in before.items()
            if (key.endswith(f".{name}") or (by_value and kept == old)) and now.get(key) == kept
        ]
        used = any(kept == value for key, kept in now.items() if key not in before or kept != before[key])
        if value != old and same and not used:
            shown = ", ".join(same[:_MOST_SHOWN]) + (", ..." if len(same) > _MOST_SHOWN else "")
            message = (
                f"{name}={value!r} in {path} has no effect: {base_path} has used {name}={old!r} already. Set "
                f"{shown}; or set {name} in a copy of {base_path}, and make that the _base_."
            )
            if not isinstance(value, dict):
                raise ValueError(message)
            warnings.warn(message, stacklevel=3)


def find_settings(cfg: Config, name: str | None = None) -> dict[str, Any]:
    """Values by key inside the parts of a config that something reads.

    Args:
        cfg: The config.
        name: Last part of the keys wanted. Default None, any.
    """
    parts = ((key, part) for key, part in walk(cfg._cfg_dict.to_dict()) if key.split(".")[0] in READ)
    return {f"{key}.{last}": part[last] for key, part in parts for last in part if name in (None, last)}


def walk(part: object, path: str = "") -> Iterator[tuple[str, dict]]:
    """Yield every dict inside a config with its key."""
    if isinstance(part, dict):
        yield path, part
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, (list, tuple)) else ()
    for key, value in items:
        yield from walk(value, f"{path}.{key}" if path else str(key))


def configured_hooks(cfg: Mapping[str, Any]) -> list[dict]:
    """The hooks that a config names, those of ``default_hooks`` first."""
    named = (cfg.get("default_hooks") or {}).values()
    return [hook for hook in (*named, *(cfg.get("custom_hooks") or [])) if hook]


def check_loaders(cfg: Config) -> None:
    """Raise unless every data loader of a config is one.

    Raises:
        TypeError: On a list of loaders, naming the key.
    """
    for key in LOADERS:
        if isinstance(cfg.get(key), (list, tuple)):
            raise TypeError(
                f"{key} must be a config dict, got a list of {len(cfg[key])}: mmengine's loops take one. Join the data "
                f"sets: {key}=dict(dataset=dict(type='ConcatDataset', datasets=[...]), ...)."
            )


def _advise_imports(path: str | os.PathLike, error: BaseException) -> ImportError:
    """An error with the first reason of ``error``, such as a package that is missing, and what to write instead."""
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return ImportError(
        f"{path} uses mmpretrain, and {_MMPRETRAIN} cannot be imported ({error}). If it uses a backbone of mmpretrain "
        "and nothing else, write in the config:\n"
        'custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.from_mmpretrain"])\n'
    )
