"""Shipped configs at a size that runs in seconds: narrow models, small crops, and a tree in the data set's layout."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
from builders import ROOT
from mmengine.config import Config, ConfigDict
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_allspark.datasets.data_report import is_semi_supervised

CROP = 65
SIZE = (70, 90)  # of the images (h, w); larger than the crop, so that a sliding window slides
VIT = dict(embed_dims=32, num_layers=12, num_heads=2, feedforward_channels=32, global_attn_indexes=[2, 5, 8, 11])


CONFIGS = ROOT / "configs"
NAMES = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.glob("[!_]*/*.py"))
_LIST = r"(train|unlabeled)_dataloader = dict\(dataset=dict\(ann_file=\".*\"\)\)"


def _has_other_lists_only(name: str) -> bool:
    lines = [line for line in (CONFIGS / name).read_text().splitlines() if not line.startswith("#")]
    return lines[0].startswith('_base_ = "') and all(re.fullmatch(_LIST, line) for line in lines[1:])


# Such a config differs from the one that it builds on by its lists: their models and steps are the same.
SAME = {name for name in NAMES if _has_other_lists_only(name)}


def data_loaders(cfg: Config) -> list[ConfigDict]:
    """All loaders of a config, the unlabeled one first."""
    unlabeled = [cfg.unlabeled_dataloader] if is_semi_supervised(cfg) else []
    return [*unlabeled, cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]


def shrink(cfg: Config) -> Config:
    """Make a config small, and leave what it is made of but the report, which takes longer than the rest."""
    _shrink_model(cfg.model)
    cfg.default_hooks.pop("report", None)
    for key in ("begin_epoch", "begin_iter"):  # there is one epoch of one step
        cfg.default_hooks.get("ema", {}).pop(key, None)
    for loader in data_loaders(cfg):
        loader.update(batch_size=min(2, loader.batch_size), num_workers=0, persistent_workers=False)
        loader.dataset.serialize_data = False  # saves a garbage collection of a third of a second
        for step in loader.dataset.pipeline:
            if step["type"] == "RandomCrop":
                step["crop_size"] = (_crop(cfg.model),) * 2
            if step["type"] in ("Pad", "PadAndMark"):
                step["size"] = (_crop(cfg.model),) * 2
            if step["type"] == "LoadAnnotations":  # zoo: ADE20K at its own scale
                continue
            if "scale" in step:
                step["scale"] = (SIZE[1], SIZE[0])
    if "max_epochs" in cfg.train_cfg:
        cfg.train_cfg.max_epochs = 1
    else:
        cfg.train_cfg.update(max_iters=1, val_interval=1)
    return cfg


def _crop(model: ConfigDict) -> int:
    return 3 * model.backbone.get("patch_size", 14) if _is_vit(model.backbone) else CROP


def _is_vit(backbone: ConfigDict) -> bool:
    return backbone.type.startswith("mmpretrain.") or backbone.type == "DINOv2Backbone"


def _shrink_model(model: ConfigDict) -> None:
    """Narrow the backbone, then whatever depends on its widths."""
    backbone = model.backbone
    model.pop("pretrained", None)
    backbone.pop("init_cfg", None)
    if _is_vit(backbone):
        backbone.update(arch=VIT, img_size=_crop(model))
        widths, side = [32] * 4, 3
    elif backbone.type.startswith("ResNet"):
        backbone.update(depth=18, stem_channels=8, base_channels=8)
        backbone.update(dict(width=16, num_heads=2) if backbone.type == "ResNetCVT" else {})
        widths, side = [8, 16, 32, 64], 5
    elif backbone.type == "SwinTransformer":
        backbone.update(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2])
        widths, side = [8, 16, 32, 64], 3
    elif backbone.type == "DenseTinyViT":
        widths, side = [64, 128, 160, 320], 5
    elif backbone.type == "MobileNetV2":
        widths, side = [24, 32, 96, 320], 3
    else:
        backbone.update(embed_dims=8, num_layers=[1, 1, 1, 1], num_heads=[1, 2, 5, 8])
        widths, side = [8, 16, 40, 64], 3
    for head in filter(None, (model.decode_head, model.get("auxiliary_head"))):
        several = isinstance(head.in_channels, (list, tuple))
        head.in_channels = widths[: len(head.in_channels)] if several else widths[head.get("in_index", -1)]
        head.channels = 8
        head.update({"level_channels": [4, 4, 8, 8]} if "level_channels" in head else {})
        head.update({"c1_in_channels": widths[0], "c1_channels": 4} if "c1_in_channels" in head else {})
    if model.get("neck"):
        model.neck.in_channels = widths[-1]
        if model.neck.get("memory_size") is not None:
            model.neck.memory_size = (side, side)
    if model.type == "U2PLSegmentor":
        model.contrast = model.get("contrast", {}) | dict(rows=64, rows_per_step=16)
    if model.type == "DGCLSegmentor":
        model.contrast = model.get("contrast", {}) | dict(rows=64, density_rows=32, max_pixels=100)
    if model.type == "PseudoSegSegmentor" and "in_channels" in model.get("attention", {}):
        model.attention.in_channels = widths[:-3:-1]
    if model.type == "PseudoSegSegmentor":
        model.cutout = dict(half=8)
    if model.test_cfg.mode == "slide":
        model.test_cfg.update(crop_size=(_crop(model),) * 2, stride=(_crop(model) * 2 // 3,) * 2)
    if model.data_preprocessor.get("size"):
        model.data_preprocessor.size = (_crop(model),) * 2
    _replace_sync_bn(model)


def _replace_sync_bn(part: ConfigDict | list) -> None:
    for value in part.values() if isinstance(part, dict) else part:
        if isinstance(value, dict) and value.get("type") == "SyncBN":
            value["type"] = "BN"
        elif isinstance(value, (dict, list)):
            _replace_sync_bn(value)


def write_tree(cfg: Config, root: Path) -> None:
    """Write the lists, images and masks that the data sets of a config name, and point the config there."""
    for index, loader in enumerate(data_loaders(cfg)):
        dataset = loader.dataset
        dataset.data_root = str(root)
        names = [f"{('unlabeled', 'labeled', 'val', 'val')[index - len(data_loaders(cfg))]}_{i}" for i in range(2)]
        if dataset.type == "UnlabeledDataset":
            dataset.source = "unlabeled"
            images = [root / "unlabeled" / f"{name}.png" for name in names]
            _write_images(images, seed=index)
            _write_pseudo_labels(cfg, dataset, images)
            continue
        kind = DATASETS.get(dataset.type)
        suffixes = {key: dataset.get(key) or _default(kind, key) for key in ("img_suffix", "seg_map_suffix")}
        prefix = dataset.data_prefix
        if dataset.get("ann_file"):
            path = root / dataset.ann_file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{name}\n" for name in names))
        images = [root / prefix.img_path / f"{name}{suffixes['img_suffix']}" for name in names]
        _write_images(images, seed=index)
        _write_pseudo_labels(cfg, dataset, images)
        classes = kind.METAINFO.get("classes") or dataset.metainfo["classes"]  # a subset is read from masks of all
        masks = [root / prefix.seg_map_path / f"{name}{suffixes['seg_map_suffix']}" for name in names]
        _write_masks(masks, len(classes), seed=index)


def _write_pseudo_labels(cfg: Config, dataset: dict, images: list[Path]) -> None:
    for step in dataset.pipeline:
        if step["type"] == "LoadPseudoLabel":
            step.folder = str(images[0].parent.with_name("pseudo_labels"))
            labels = [Path(step.folder, image.with_suffix(".png").name) for image in images]
            _write_masks(labels, cfg.model.decode_head.num_classes, seed=0)
            if "confidence_folder" in step:
                step.confidence_folder = step.folder  # any number is a confidence


def _default(kind: type, key: str) -> str:
    """Default of a data set's suffix, wherever in its bases it is declared; CamVid takes either kind of image."""
    for base in kind.__mro__:
        default = inspect.signature(base).parameters.get(key, inspect.Parameter.empty)
        if getattr(default, "default", None):
            return default.default
    raise AssertionError(f"{kind.__name__} has no {key}")


def _write_images(paths: list[Path], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(path)


def _write_masks(paths: list[Path], num_classes: int, seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = rng.integers(0, num_classes, (SIZE[0] // 10, SIZE[1] // 10), dtype=np.uint8)
        Image.fromarray(np.kron(blocks, np.ones((10, 10), np.uint8))).save(path)
