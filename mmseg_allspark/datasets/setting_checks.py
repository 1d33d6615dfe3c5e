"""Settings of data sets and loaders that training refuses; ``check_data.py`` asks here, too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from mmengine.fileio import list_from_file
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS

from .parts import iter_leaves, iter_steps
from .transforms.pseudo_labels import LoadPseudoLabel

LOADER_KEYS = dict(labeled="train_dataloader", unlabeled="unlabeled_dataloader", validation="val_dataloader")


def read_classes(metainfo: Mapping, key: str) -> Sequence[str] | None:
    """Return the names of the classes, which mmseg allows to be in a file, one a line; None where there are none.

    A string that is no file is a ``TypeError``; ``key`` is the config key of the classes, for its message.
    """
    classes = metainfo.get("classes")
    if not isinstance(classes, str):
        return classes
    try:
        return list_from_file(classes)
    except FileNotFoundError as error:
        raise TypeError(
            f"{key}={classes!r} is a string, not a tuple of names, and no file of names: a tuple of one name needs a "
            f"comma, ({classes!r},)."
        ) from error


def check_classes(key: str, dataset: Any, num_classes: int | None) -> None:
    """Raise ``ValueError`` unless a data set that names its classes has as many as the model, where that is known.

    ``key`` is the config key of its loader, for the message.
    """
    classes = read_classes(getattr(dataset, "metainfo", None) or {}, f"{key}.dataset.metainfo.classes")
    if None not in (classes, num_classes) and len(classes) != num_classes:
        raise ValueError(
            f"{key} has {len(classes)} classes but model.decode_head.num_classes={num_classes}; set the head's (and "
            "the neck's) num_classes to the data set's."
        )


def check_zero_label(cfg: Mapping, datasets: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` unless all data sets with masks ignore the label 0, or none.

    Else other classes would be learned than tested.

    Args:
        cfg: The config; its test set is built for the check where it is not the validation set, and not missing.
        datasets: By name; unlabeled images count if they have masks.
    """
    datasets = {LOADER_KEYS[name]: dataset for name, dataset in datasets.items()}
    val, test = ((cfg.get(f"{part}_dataloader") or {}).get("dataset") for part in ("val", "test"))
    if test and test != val:
        with suppress(Exception):  # each data set raises its own kind; test images may be on another machine
            datasets["test_dataloader"] = DATASETS.build(dict(test, lazy_init=True))
    found: dict[bool, str] = {}
    for key, dataset in datasets.items():
        for leaf in iter_leaves(dataset):
            leaf = getattr(leaf, "dataset", leaf)  # some wrappers have a pipeline
            if hasattr(leaf, "reduce_zero_label") and (key != LOADER_KEYS["unlabeled"] or _has_masks(leaf)):
                found.setdefault(bool(leaf.reduce_zero_label), key)
    if len(found) > 1:
        settings = ", ".join(f"{key}.dataset.reduce_zero_label={value}" for value, key in found.items())
        raise ValueError(
            f"{settings}: class k is label k + 1 with True and label k with False. Set it alike in all loaders, True "
            "if 0 in the masks is no class; data sets whose masks have other numbers have to be renumbered."
        )


def _has_masks(dataset: Any) -> bool:
    """Whether the pipeline loads masks and the first sample has one."""
    loads = any(
        isinstance(step, LoadAnnotations) and not isinstance(step, LoadPseudoLabel) for step in iter_steps(dataset)
    )
    return loads and len(dataset) > 0 and os.path.isfile(dataset.get_data_info(0).get("seg_map_path") or "")


def choose_unlabeled(cfg: Mapping) -> dict:
    """Return the config's unlabeled loader; ``ValueError`` if there is none."""
    key = LOADER_KEYS["unlabeled"]
    if cfg.get(key) is None:
        close = get_close_matches(key, cfg.keys() - {key}, n=1, cutoff=0.85)
        read = f"; the config has {close[0]}, which nothing reads" if close else ""
        raise ValueError(
            f"PseudoLabelLoop: the config has no {key}{read}. Set it at the top level beside train_dataloader: "
            f"{key} = dict(batch_size=..., sampler=..., dataset=...)."
        )
    return cfg[key]


def check_batch(images: int, batch_size: int, drop_last: bool) -> None:
    """Raise ``ValueError`` if the images of one pass on one rank give no batch."""
    if drop_last and images < batch_size:
        raise ValueError(
            f"{images} images per rank give no batch of batch_size={batch_size}; use a smaller batch_size or "
            "drop_last=False."
        )
