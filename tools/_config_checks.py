"""What train.py and test.py check about a config before they build anything from it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import EMAHook
from torch.utils.data import DataLoader

from mmseg_allspark.datasets.setting_checks import read_classes
from mmseg_allspark.utils.checks import check_keys
from mmseg_allspark.utils.config_files import LOADERS, READ, find_settings, walk
from mmseg_allspark.utils.config_types import find_class

_FOR_RUNNER = ("num_batch_per_epoch", "disable_subprocess_warning")  # keys of a loader that DataLoader does not get


def check_options(cfg: Config, options: dict) -> None:
    """Refuse ``--cfg-options`` that change a variable of the config file, whose value other keys have taken already."""
    for option in options:
        name = option.split(".")[0]
        if name in READ:
            continue
        if same := list(find_settings(cfg, name)):
            shown = ", ".join(same[:4]) + (", ..." if len(same) > 4 else "")
            raise ValueError(
                f"--cfg-options {option}=... has no effect: only the config file reads {name}. Set {shown}."
            )
        if name not in cfg:
            close = get_close_matches(name, READ | set(cfg), n=1)
            meant = f" Is {close[0]} meant?" if close else ""
            raise ValueError(f"--cfg-options {option}=... has no effect: nothing reads {name}.{meant}")
        warnings.warn(f"--cfg-options {option}=...: no key of that name is read by the runner.", stacklevel=2)


def warn_of_misspelled_keys(cfg: Config) -> None:
    """Warn of top-level keys that are nearly one that is read: mmengine takes them for variables of the config file."""
    for key in cfg:
        close = [] if key in READ or key.endswith("_pipeline") else get_close_matches(key, READ, n=1, cutoff=0.85)
        if close:
            warnings.warn(f"The config has {key}, which nothing reads. Is {close[0]} meant?", stacklevel=2)


def check_component_keys(cfg: Config, keys: Sequence[str] = (*LOADERS, "optim_wrapper")) -> None:
    """Raise if a loader, its data set or sampler, or the optimizer has a key that nothing takes."""
    for key in keys:
        part = cfg.get(key) or {}
        if key in LOADERS:
            check_keys(key, part, [*inspect.signature(DataLoader).parameters, *_FOR_RUNNER])
        elif "constructor" not in part:  # which may read keys of its own
            _check_arguments(key, {"type": "OptimWrapper", **part}, ("constructor", "paramwise_cfg"))
        for name in ("dataset", "sampler", "batch_sampler", "optimizer"):
            _check_arguments(f"{key}.{name}", part.get(name))


def _check_arguments(key: str, part: object, more: Sequence[str] = ()) -> None:
    """Raise unless the class of a component takes its keys or, with ``**kwargs``, may take any."""
    kind = find_class(part["type"]) if isinstance(part, dict) and isinstance(part.get("type"), str) else None
    arguments = {} if kind is None else inspect.signature(kind).parameters
    if arguments and not any(one.kind is one.VAR_KEYWORD for one in arguments.values()):
        own = [name for name in arguments if name != "params"]  # of the model, which the optimizer gets
        check_keys(key, [name for name in part if name not in ("type", "_scope_")], [*own, *more])


def check_hooks(cfg: Config) -> None:
    """Raise if ``custom_hooks`` repeats a hook of ``default_hooks`` or adds a second average: both would run."""

    def kind(hook: dict) -> object:
        found = find_class(hook["type"]) if isinstance(hook["type"], str) else hook["type"]
        return EMAHook if inspect.isclass(found) and issubclass(found, EMAHook) else found

    named = {kind(hook): name for name, hook in (cfg.get("default_hooks") or {}).items() if hook}
    for index, hook in enumerate(cfg.get("custom_hooks") or []):
        name = named.get(kind(hook))
        if name is not None:
            raise ValueError(
                f"custom_hooks.{index} is {hook['type']}, and default_hooks.{name} is {cfg.default_hooks[name]['type']}"
                f": both would run. Change default_hooks.{name} and take the other out of custom_hooks."
            )


def check_data_paths(cfg: Config, loaders: tuple[str, ...] = LOADERS) -> None:
    """Raise if the folder or list of a data set that will be built does not exist."""
    for loader in loaders:
        for key, part in walk((cfg.get(loader) or {}).get("dataset") or {}, f"{loader}.dataset"):
            root, ann_file = part.get("data_root"), part.get("ann_file")
            if not isinstance(root, str) or "://" in root or not part.get("type", "").endswith("Dataset"):
                continue
            if not Path(root).is_dir():
                raise FileNotFoundError(
                    f"{key}.data_root={root!r} is not a folder (looked in {Path.cwd()}). Prepare the data first (the "
                    "config's header says how), start from the right folder, or correct the path."
                )
            if ann_file and not (Path(root) / ann_file).is_file():
                folder = (Path(root) / ann_file).parent
                lists = sorted(path.name for path in folder.glob("*.txt")) if folder.is_dir() else []
                there = f"{folder} holds {', '.join(lists) or 'no list'}"
                raise FileNotFoundError(
                    f"{key}.ann_file={ann_file!r} is not in {root} (looked in {Path.cwd()}): {there}. Make the lists "
                    "(the config's header says how), or correct the name."
                )


def check_palettes(cfg: Config, loaders: tuple[str, ...] = LOADERS) -> None:
    """Raise if a data set has not as many colours as classes; mmseg's own error names neither."""
    for loader in loaders:
        for key, part in walk((cfg.get(loader) or {}).get("dataset") or {}, f"{loader}.dataset"):
            meta = part.get("metainfo") or {}
            classes, palette = read_classes(meta, f"{key}.metainfo.classes"), meta.get("palette")
            if classes and palette and len(classes) != len(palette):
                raise ValueError(
                    f"palette has {len(palette)} colours, classes has {len(classes)} names: edit `palette` at the top "
                    "of the config."
                )


def pretrained_weights(cfg: Config) -> dict[str, str]:
    """Key and place (file or address) of all weights that the model starts with."""
    found = {}
    for key, part in walk(cfg.model.to_dict() if hasattr(cfg.model, "to_dict") else cfg.model, "model"):
        for name in ("checkpoint", "pretrained"):
            if isinstance(part.get(name), str):
                found[f"{key}.{name}"] = part[name]
    return found


def check_pretrained_files(cfg: Config) -> None:
    """Raise if weights that the model starts with are a file that is not there."""
    for key, place in pretrained_weights(cfg).items():
        if "://" not in place and not Path(place).expanduser().is_file():
            raise FileNotFoundError(
                f"{key}={place!r} is not a file (looked in {Path.cwd()}). The comment at the top of the model's base "
                f"config says where to get it. Give another file with --cfg-options {key}=FILE, or start without: "
                f"{key.removesuffix('.checkpoint')}=None."
            )


def drop_pretrained(cfg: Config) -> None:
    """Leave pretrained weights out where a checkpoint will replace them: nothing to download, nothing to miss."""
    for _, part in walk(cfg.model, "model"):
        if isinstance(part.get("init_cfg"), dict) and part["init_cfg"].get("type") == "Pretrained":
            part["init_cfg"] = None
        if part.get("pretrained"):  # a name or an address; True in TIMMBackbone, whose default it is
            part["pretrained"] = None if isinstance(part["pretrained"], str) else False
