"""What inference, export and publishing read from a config and a checkpoint."""

import inspect
import os
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmseg.registry import DATASETS

from mmseg_allspark.utils.config_files import read_config
from mmseg_allspark.utils.config_types import name_types
from mmseg_allspark.utils.embedded_config import read_embedded_config
from mmseg_allspark.utils.images import class_palette


def load_config(
    config: str | os.PathLike | Config | None, checkpoint: dict, name: str, cfg_options: dict | None = None
) -> Config:
    """Return the config of a model, from a file or from its checkpoint.

    Args:
        config: A config file, a config, or None: the one inside the checkpoint.
        checkpoint: The checkpoint's content.
        name: The checkpoint's file, for messages.
        cfg_options: Changes, nested keys with dots. Default None.

    Returns:
        The config; the caller may change it.

    Raises:
        FileNotFoundError: If there is no such config file.
        ImportError, TypeError, ValueError: As :func:`read_config`.
        EmbeddedConfigError: If the checkpoint holds no config, or one that could run code.
    """
    if config is None:
        cfg = read_embedded_config(checkpoint, name)
    elif isinstance(config, Config):
        cfg = config.copy()
    elif not os.path.isfile(config):
        raise FileNotFoundError(f"The config {config} does not exist.")
    else:
        cfg = read_config(config)
    cfg.merge_from_dict(cfg_options or {})
    return name_types(cfg)


def read_dataset_meta(cfg: Config, checkpoint_meta: dict) -> dict[str, tuple]:
    """Names and colours of the classes: what training stored in the checkpoint, else what the config's data set says.

    Args:
        cfg: The config.
        checkpoint_meta: ``meta`` of the checkpoint.

    Returns:
        ``classes``: a name per class ('0', '1', ... where nobody gives names); ``palette``: (R, G, B) of each.
    """
    stored = dict(checkpoint_meta.get("dataset_meta") or {})
    if "CLASSES" in checkpoint_meta:  # mmseg 0.x
        stored = dict(classes=checkpoint_meta["CLASSES"], palette=checkpoint_meta.get("PALETTE"))
    if not stored.get("classes"):
        stored = _config_meta(cfg)
    num_classes = _num_classes(cfg.model)
    classes = tuple(stored.get("classes") or map(str, range(num_classes)))
    palette = class_palette(stored.get("palette"), len(classes))
    return dict(classes=classes, palette=tuple(map(tuple, palette)))


def reduces_zero_label(cfg: Config) -> bool:
    """Whether class k has the number k + 1 in the mask files: ``reduce_zero_label`` of the data set evaluated.

    Args:
        cfg: The config. Where its data set does not say, the default of the data set's class counts.
    """
    for loader in ("test_dataloader", "val_dataloader", "train_dataloader"):
        dataset = (cfg.get(loader) or {}).get("dataset") or {}
        while "dataset" in dataset or "datasets" in dataset:  # repeated or concatenated
            dataset = dataset["dataset"] if "dataset" in dataset else dataset["datasets"][0]
        if not dataset:
            continue
        kind = DATASETS.get(dataset["type"]) if isinstance(dataset["type"], str) else dataset["type"]
        for base in inspect.getmro(kind) if inspect.isclass(kind) else ():
            argument = inspect.signature(base.__init__).parameters.get("reduce_zero_label")
            if argument is not None:
                return bool(dataset.get("reduce_zero_label", argument.default))
    return False


def _config_meta(cfg: Config) -> dict[str, Any]:
    for loader in ("test_dataloader", "val_dataloader", "train_dataloader"):
        dataset = (cfg.get(loader) or {}).get("dataset") or {}
        given = dataset.get("metainfo") or {}
        if given.get("classes"):
            return dict(given)
        kind = DATASETS.get(dataset["type"]) if isinstance(dataset.get("type"), str) else None
        if getattr(kind, "METAINFO", {}).get("classes"):
            return dict(kind.METAINFO)
    return {}


def _num_classes(model: ConfigDict) -> int:
    heads = model.decode_head if isinstance(model.decode_head, Sequence) else [model.decode_head]
    return heads[-1].num_classes
