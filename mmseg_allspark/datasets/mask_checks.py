"""A look at the masks before training: what they hold decides what can be learned and what mIoU means."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmseg.datasets.transforms import LoadAnnotations

from .parts import iter_leaves
from .setting_checks import LOADER_KEYS

LOOKED_AT = 64  # masks of each set: a second or two
IGNORE = 255
SINGLE_CLASS_REMEDY = (
    f"If {IGNORE} is your object, make it 1; else check data_prefix.seg_map_path and reduce_zero_label."
)


def check_masks(datasets: Mapping[str, Any], logger: logging.Logger) -> None:
    """Look at some masks of labeled and validation data, by name, and log which classes were not seen.

    Labeled masks of one class only, as when the object of a binary task is labeled 255, are a ``ValueError``.
    """
    for name in ("labeled", "validation"):
        dataset, key = datasets.get(name), LOADER_KEYS[name]
        classes = (getattr(dataset, "metainfo", None) or {}).get("classes")
        if not classes:
            continue
        for most in (LOOKED_AT, len(dataset)):  # a rare object may be in none of the first ones
            count, pixels = _count_labels(dataset, most)
            text = describe_single_class(f"{count} masks of {key} looked at", classes, pixels)
            if text is None or name == "validation":
                break
        if text is not None:
            if name == "labeled":
                raise ValueError(f"{text} {SINGLE_CLASS_REMEDY}")
            logger.warning(f"{text} {SINGLE_CLASS_REMEDY}")
            continue
        absent = [class_name for label, class_name in enumerate(classes) if not pixels[label]]
        if absent and pixels.any():
            logger.warning(
                f"No pixel of {', '.join(absent)} in the {count} masks of {key} looked at (of {len(dataset)}). "
                "tools/prepare/check_data.py CONFIG looks at all of them."
            )


def describe_single_class(masks: str, classes: Sequence[str], pixels: np.ndarray) -> str | None:
    """Say so, without the remedy, if masks hold less than two classes, with which nothing can be learned.

    Args:
        masks: Which they are, for the message.
        classes: Names of the labels; '' for one that is ignored.
        pixels: (256,) pixels of each label in them; None is returned where there are none at all.
    """
    present = [class_name for class_name, number in zip(classes, pixels, strict=False) if number and class_name]
    if len(present) > 1 or not pixels.any():
        return None
    return (
        f"The {masks} hold {', '.join(present) or 'no class'} only; {IGNORE}, which is ignored, covers "
        f"{pixels[IGNORE] / pixels.sum():.0%} of them."
    )


def _count_labels(dataset: Any, most: int) -> tuple[int, np.ndarray]:
    """Number of masks looked at, at most so many of each part, and pixels of each label in them, (256,)."""
    count, pixels = 0, np.zeros(256, dtype=np.int64)
    for leaf in iter_leaves(dataset):
        steps = list(getattr(leaf.pipeline, "transforms", ()))
        last = next((place for place, step in enumerate(steps) if isinstance(step, LoadAnnotations)), None)
        if last is None:
            continue
        for index in np.unique(np.linspace(0, len(leaf) - 1, min(most, len(leaf))).astype(int)):
            sample = leaf.get_data_info(int(index))
            for step in steps[: last + 1]:
                sample = step(sample)
            labels = sample["gt_seg_map"].ravel()
            pixels += np.bincount(labels[labels < 256].astype(np.int64), minlength=256)
            count += 1
    return count, pixels
