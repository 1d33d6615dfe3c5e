"""Under which names the validations of a config give their figures, which of them is meant, and the best."""

from collections.abc import Iterable, Mapping

import torch
from mmengine.config import Config
from mmseg.evaluation import IoUMetric

from mmseg_allspark.utils.config_types import type_name

MAIN = ("mIoU", "mDice", "mFscore")  # what IoUMetric may compute; the larger the better


def find_metric(names: Iterable[str], wanted: str = MAIN[0]) -> str | None:
    """Return the name that a metric has among those of a validation.

    Args:
        names: Those of the validation.
        wanted: The metric. Default ``'mIoU'``, for which mDice or mFscore stands in.

    Returns:
        The metric itself, else one of this name with a prefix, as in ``'val/mIoU'``; None if neither is there.
    """
    names = list(names)
    for name in MAIN if wanted == MAIN[0] else (wanted,):
        found = sorted((key for key in names if key.rpartition("/")[2] == name or key == name), key=len)
        if found:
            return found[0]
    return None


def choose_metric(names: Iterable[str], wanted: str, key: str) -> str:
    """As :func:`find_metric`, for the metric that a setting asks for.

    Args:
        names: Those of the validation.
        wanted: The metric.
        key: Of the setting, for the message.

    Raises:
        ValueError: If it is not there.
    """
    found = find_metric(names, wanted)
    if found is None:
        raise ValueError(f"{key}={wanted!r}: validations give {', '.join(names)}. Set {key} to one of them.")
    return found


def metric_names(cfg: Config) -> list[str] | None:
    """Return the names that validations will give their figures.

    Args:
        cfg: The config.

    Returns:
        The names; None where ``val_evaluator`` is not made of ``IoUMetric`` alone, so that nobody knows them before.

    Raises:
        ValueError: If it asks ``IoUMetric`` for what that cannot compute.
    """
    parts, names = cfg.get("val_evaluator") or [], []
    for part in parts if isinstance(parts, (list, tuple)) else [parts]:
        if not isinstance(part, dict) or type_name(part.get("type")) != "IoUMetric" or part.get("format_only"):
            return None
        kinds = part.get("iou_metrics", ["mIoU"])
        try:
            found = IoUMetric.total_area_to_metrics(*[torch.ones(1)] * 4, kinds)
        except KeyError:
            raise ValueError(f"val_evaluator.iou_metrics={kinds}: IoUMetric computes {', '.join(MAIN)}.") from None
        prefix = f"{part['prefix']}/" if part.get("prefix") else ""
        names += [prefix + (name if name == "aAcc" else f"m{name}") for name in found]
    return names or None


def find_best(curve: Mapping[int, float]) -> int | None:
    """The iteration of the largest value, the first of equals; NaN is the least."""
    return max(sorted(curve), key=lambda step: (curve[step] == curve[step], curve[step]), default=None)
