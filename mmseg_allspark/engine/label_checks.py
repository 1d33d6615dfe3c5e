"""A look at the masks before training: what they hold decides what can be learned and what mIoU means."""

import logging

import numpy as np
from mmseg.datasets.transforms import LoadAnnotations
from torch.utils.data import DataLoader, Dataset

from mmseg_allspark.datasets.checks import iter_leaves

LOOKED_AT = 64  # masks of each set: a second or two
IGNORE = 255


def check_labels(loaders: dict[str, DataLoader], logger: logging.Logger) -> None:
    """Look at some masks of labeled and validation data.

    Args:
        loaders: By config key; ``train_dataloader`` and, if there is one, ``val_dataloader`` are looked at.
        logger: Is told which classes were not seen.

    Raises:
        ValueError: If labeled masks hold one class only, as when the object of a binary task is labeled 255.
    """
    for key in ("train_dataloader", "val_dataloader"):
        dataset = loaders[key].dataset if key in loaders else None
        classes = (getattr(dataset, "metainfo", None) or {}).get("classes")
        if not classes:
            continue
        count, pixels = count_labels(dataset)
        present = [label for label in range(len(classes)) if pixels[label]]
        if not pixels.sum():
            continue
        ignored = pixels[IGNORE] / pixels.sum()
        if len(present) < 2:
            held = ", ".join(classes[label] for label in present) or "no class"
            text = (
                f"The {count} masks of {key} looked at hold {held} only; {IGNORE}, which is ignored, covers "
                f"{ignored:.0%} of them. If {IGNORE} is your object, make it 1; else check data_prefix.seg_map_path "
                "and reduce_zero_label."
            )
            if key == "train_dataloader":
                raise ValueError(text)
            logger.warning(text)
        absent = [name for label, name in enumerate(classes) if not pixels[label]]
        if absent and len(present) > 1:
            logger.warning(
                f"No pixel of {', '.join(absent)} in the {count} masks of {key} looked at (of {len(dataset)}). "
                "tools/prepare/check_data.py CONFIG looks at all of them."
            )


def count_labels(dataset: Dataset) -> tuple[int, np.ndarray]:
    """Number of masks looked at and pixels of each label in them, (256,)."""
    count, pixels = 0, np.zeros(256, dtype=np.int64)
    for leaf in iter_leaves(dataset):
        steps = list(getattr(leaf.pipeline, "transforms", ()))
        last = next((place for place, step in enumerate(steps) if isinstance(step, LoadAnnotations)), None)
        if last is None:
            continue
        for index in np.unique(np.linspace(0, len(leaf) - 1, min(LOOKED_AT, len(leaf))).astype(int)):
            sample = leaf.get_data_info(int(index))
            for step in steps[: last + 1]:
                sample = step(sample)
            labels = sample["gt_seg_map"].ravel()
            pixels += np.bincount(labels[labels < 256].astype(np.int64), minlength=256)
            count += 1
    return count, pixels
