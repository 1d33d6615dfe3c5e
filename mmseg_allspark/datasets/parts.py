"""What a data set is made of: the ones inside its wrappers, and the steps of their pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def iter_leaves(dataset: Any) -> Iterator[Any]:
    """Yield the datasets inside ConcatDataset, RepeatDataset and the like."""
    if hasattr(dataset, "datasets"):
        for part in dataset.datasets:
            yield from iter_leaves(part)
    elif hasattr(dataset, "get_data_info") and (hasattr(dataset, "pipeline") or not hasattr(dataset, "dataset")):
        yield dataset
    elif hasattr(dataset, "dataset"):
        yield from iter_leaves(dataset.dataset)
    else:
        raise TypeError(f"{type(dataset).__name__} has no get_data_info: give a BaseSegDataset or a wrapper of such.")


def iter_steps(dataset: Any) -> Iterator[object]:
    """Yield the steps of all pipelines, inside RandomApply, RandomChoice and the like, too."""
    steps = [getattr(leaf, "pipeline", None) for leaf in iter_leaves(dataset)]
    while steps:
        yield (step := steps.pop())
        steps += getattr(step, "transforms", ())
