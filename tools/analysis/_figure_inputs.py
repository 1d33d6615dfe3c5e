"""What ``figures.py`` draws: images of a config's data sets, features and memory of a model, error rates."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.utils.misc import apply_to
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmseg_allspark.models import AllSparkNeck, SemanticMemory, holds_average
from mmseg_allspark.models.semantic_memory import group_channels
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint

IGNORE = 255
LOADERS = dict(labeled="train_dataloader", unlabeled="unlabeled_dataloader", val="val_dataloader")
MEMORY = "neck.memory."


class Grouped(NamedTuple):
    """Channels of one unlabeled image as the memory gets them."""

    tokens: Tensor  # (1, N, C) normalised features
    classes: Tensor  # (1, C) int64 class of each channel
    size: tuple[int, int]  # (H, W), N = H*W
    label: Tensor  # (H', W') int64 pseudo label


class Rates(NamedTuple):
    """Agreement with the masks, in [0, 1]."""

    error: float  # share of wrong pixels
    miou: float  # mean over the classes that occur
    images: int  # with a mask

    def __str__(self) -> str:
        return f"error {100 * self.error:.1f} %, mIoU {100 * self.miou:.1f}, {self.images} images"


def choose_channels(args: argparse.Namespace, maps: Sequence[Sequence[np.ndarray]]) -> list[int]:
    """Indexes to draw: those asked for, else ``--count`` spread evenly over what all sources have."""
    available = min(len(channels) for sources in maps for channels in sources)
    if args.channels is None:
        return np.unique(np.linspace(0, available, args.count, endpoint=False).astype(int)).tolist()
    for index in args.channels:
        if not 0 <= index < available:
            raise ValueError(f"--channels {index}: choose from 0 to {available - 1}.")
    return args.channels


def choose_classes(args: argparse.Namespace, names: Sequence[str]) -> list[int]:
    """Indexes of ``--classes``, else the first 12."""
    if unknown := set(args.classes or ()) - set(names):
        raise ValueError(f"--classes {' '.join(sorted(unknown))}: choose from {', '.join(names)}.")
    return [names.index(name) for name in args.classes or names[:12]]


def build_dataset(cfg: Config, split: str, augmented: bool = False) -> Dataset:
    """Build the 'labeled', 'unlabeled' or 'val' data set of a config.

    Unless ``augmented`` keeps the training pipeline, images pass through that of ``val_dataloader``, masks optional.
    """
    for key in {LOADERS[split], LOADERS["val"]} if not augmented else {LOADERS[split]}:
        if cfg.get(key) is None:
            raise ValueError(f"The config has no {key}, which the {split} images need here; take a config that has it.")
    dataset = copy.deepcopy(cfg[LOADERS[split]].dataset)
    if not augmented:
        pipeline = [_without_need_of_masks(step) for step in _pipelines(cfg.val_dataloader.dataset)[0]["pipeline"]]
        for part in _pipelines(dataset):
            part["pipeline"] = pipeline
    return DATASETS.build(dataset)


def _pipelines(dataset: dict) -> list[dict]:
    """The dataset configs that have a pipeline, inside ConcatDataset and RepeatDataset too."""
    own = [dataset] if dataset.get("pipeline") else []
    inner = [dataset["dataset"]] if "dataset" in dataset else list(dataset.get("datasets", ()))
    return own + [part for child in inner for part in _pipelines(child)]


def _without_need_of_masks(step: dict) -> dict:
    loads = step["type"] in ("LoadAnnotations", "LoadSegMask")
    return dict(step, type="LoadSegMask", optional=True) if loads else step


def require_allspark(model: nn.Module, *, memory: bool = False, grouping: bool = False) -> AllSparkNeck:
    """Return a model's AllSparkNeck."""
    neck = getattr(model, "neck", None)
    if not isinstance(neck, AllSparkNeck):
        found = "none" if neck is None else type(neck).__name__
        raise ValueError(
            f"This figure is about AllSparkNeck, and the model's neck is {found}; take a config with "
            'model.neck.type="AllSparkNeck" and its checkpoint.'
        )
    for name, needed, there in (("memory", memory, neck.memory is not None), ("grouping", grouping, neck.grouping)):
        if needed and not there:
            raise ValueError(f"This figure is about model.neck.{name}, which the config switches off ({name}=False).")
    return neck


def to_input(model: nn.Module, image: Tensor) -> Tensor:
    """Normalise one uint8 (3, H, W) image for a model: (1, 3, H, W) on the model's device."""
    return model.data_preprocessor(dict(inputs=[image]), False)["inputs"]


@contextmanager
def recording(model: nn.Module, **modules: str) -> Iterator[dict[str, Any]]:
    """First outputs of modules in a ``with`` block, copied to the CPU, by the keyword that names the module."""
    record: dict[str, Any] = {}

    def keep(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        tensors = apply_to(output, lambda item: isinstance(item, Tensor), lambda item: item.detach().clone().cpu())
        record.setdefault(name, tensors)

    found = {name: model.get_submodule(path) for name, path in modules.items()}
    handles = [module.register_forward_hook(partial(keep, name)) for name, module in found.items()]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def neck_channels(model: nn.Module, image: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Channels (E, H, W) at inference: what the neck's attention gets, and what leaves it; both after LayerNorm."""
    with recording(model, maps="neck.map_in", before="neck.token_norm", after="neck.out_norm") as record:
        model.extract_feat(to_input(model, image))
    size = record["maps"].shape[2:]
    return tuple(record[name][0].T.unflatten(1, size).numpy() for name in ("before", "after"))


def group_image(model: nn.Module, image: Tensor) -> Grouped:
    """Label one unlabeled image and group its channels, as a training step does before the attention.

    In eval mode and without strong view and CutMix, so the same image gives the same channels.
    """
    neck = require_allspark(model, memory=True, grouping=True)
    with recording(model, maps="neck.map_in", tokens="neck.token_norm") as record:
        logits = model.label_unlabeled(dict(weak=to_input(model, image)))
    pseudo = model.make_pseudo_label(logits)
    size = tuple(record["maps"].shape[2:])
    options = dict(similarity=neck.similarity, grouping_map=neck.grouping_map)
    tokens = record["tokens"]
    return Grouped(
        tokens, group_channels(tokens, pseudo.logits.cpu(), size=size, **options), size, pseudo.label[0].cpu()
    )


def read_memory(checkpoint: str, neck: AllSparkNeck) -> SemanticMemory:
    """Read the memory that training wrote from a checkpoint.

    Where training kept a moving average, the checkpoint's main weights are those of the average, and its memory is an
    average over time that no step has seen; the written one lies among ``ema_state_dict``.
    """
    content = load_checkpoint(checkpoint, map_location="cpu")
    averaged = "ema_state_dict" in content and holds_average(content)
    trained = content["ema_state_dict"] if averaged else content.get("state_dict", content)
    prefix = "module." + MEMORY if averaged else MEMORY
    state = {name.removeprefix(prefix): value for name, value in trained.items() if name.startswith(prefix)}
    memory = SemanticMemory(neck.memory.num_classes, neck.memory.num_slots, neck.memory.size)
    memory.load_state_dict(state)
    return memory


def refill_memory(model: nn.Module, images: Sequence[Tensor]) -> tuple[SemanticMemory, SemanticMemory]:
    """Write an empty memory with the channels of some images.

    Returns:
        The memory, and one of the same rows that holds (image, channel) in place of the maps.
    """
    neck = require_allspark(model, memory=True, grouping=True)
    memory = sources = None
    for number, image in enumerate(images):
        grouped = group_image(model, image)
        if memory is None:
            sides = (neck.memory.num_classes, neck.memory.num_slots)
            memory, sources = SemanticMemory(*sides, grouped.size), SemanticMemory(*sides, (1, 2))
        memory.write(grouped.tokens, grouped.classes)
        channels = torch.arange(grouped.tokens.shape[2])
        sources.write(torch.stack([torch.full_like(channels, number), channels])[None], grouped.classes)
    return memory, sources


def spread_rows(memory: SemanticMemory, block: int, count: int) -> list[int]:
    """Slots of a class, the newest first, spread evenly over all that was written (neighbours are of one image)."""
    written = min(int(memory.enqueued[block]), memory.num_slots)
    steps = np.unique(np.linspace(0, written - 1, min(count, written)).round().astype(int)) if written else []
    return [int(memory.pointer[block] - 1 - step) % memory.num_slots for step in steps]


@torch.no_grad()
def measure_rates(model: nn.Module, dataset: Dataset, num: int, seed: int) -> Rates | None:
    """Evaluate a model on at most ``num`` images of a data set, as validation does; None without any mask."""
    areas, images = [], 0
    for index in np.random.default_rng(seed).permutation(len(dataset))[:num].tolist():
        packed = dataset[index]
        if "gt_sem_seg" not in packed["data_samples"]:
            continue
        (result,) = model.test_step(pseudo_collate([packed]))
        truth = packed["data_samples"].gt_sem_seg.data[0]
        predicted = result.pred_sem_seg.data[0].cpu()
        areas.append(IoUMetric.intersect_and_union(predicted, truth, model.decode_head.num_classes, IGNORE))
        images += 1
    if not areas:
        return None
    metrics = IoUMetric.total_area_to_metrics(*(sum(kind) for kind in zip(*areas, strict=True)), ["mIoU"])
    return Rates(1.0 - float(metrics["aAcc"]), float(np.nanmean(metrics["IoU"])), images)
