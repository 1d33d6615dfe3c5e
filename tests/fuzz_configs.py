"""Small whole configs in which every registered component of ours stands somewhere, and what may go wrong in them."""

from __future__ import annotations

import copy
import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import mmseg.registry
from builders import CLASSES, CROP, WIDTHS, head_config, loader_config, model_config, run_config
from mmengine.config import Config
from mmengine.registry import Registry
from mmseg.registry import DATASETS
from small_methods import METHODS, teacher_hook

from mmseg_allspark.labels import CutMix
from mmseg_allspark.models.backbones import dinov2  # noqa: F401 (registers itself)

PACKAGE = "mmseg_allspark"
SIZE = (CROP, CROP)
VALUES = [
    None, -1, 0, 0.5, 10**30, float("nan"), float("inf"), "abc", "", [], {}, True, [1, 2, 3], (0, 0), (-1, 2),
    ("a", "b"), dict(type="Nope"), dict(a=1),
]  # fmt: skip
# Not to be built from a config: what the loop or the model builds itself, and needs objects for, or what exports have.
BUILT_BY_US = {"TeacherAverage", "StartChecksHook", "EnsembleBackbone", "EnsembleHead"}
BY_IMPORT = {"DenseTinyViT"}  # registered by an import of its own; tests/test_models/test_tiny_vit.py
TYPELESS = {
    ("model", "alignment"): "DistributionAlignment",
    ("model", "cutmix"): "CutMix",
}
REQUIRED = inspect.Parameter.empty


def geometry() -> list[dict]:
    return [
        dict(type="RandomResizeLongSide", ratio_range=(0.5, 2.0)),
        dict(type="RandomCrop", crop_size=SIZE, cat_max_ratio=1.0),
        dict(type="PadAndMark", size=SIZE, pad_val=dict(img=0, seg=255)),
        dict(type="RandomFlip", prob=0.5),
    ]


def labeled_loader(data: Path, **dataset: object) -> dict:
    loader = loader_config(data, "labeled")
    mask = dict(type="LoadSegMask", num_classes=len(CLASSES))
    pipeline = [dict(type="LoadImage"), mask, *geometry(), dict(type="PackSemiInputs")]
    loader["dataset"] |= dict(pipeline=pipeline) | dataset
    return loader


def unlabeled_loader(data: Path) -> dict:
    loader = loader_config(data, "unlabeled")
    names = ("ColorJitter", "Gray", "GaussianBlur", "Intensity", "NoiseCutOut")
    colours = [dict(type=f"Random{name}", prob=1.0) for name in names]
    loader["dataset"] = dict(
        type="UnlabeledDataset",
        source="img/unlabeled*.png",
        data_root=str(data),
        metainfo=dict(classes=CLASSES),
        serialize_data=False,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="LoadPseudoLabel", folder=str(data / "mask")),
            *geometry(),
            dict(type="MultiView", views=dict(weak=[], strong=colours, strong1=colours, strong2=colours)),
            dict(type="PackSemiInputs"),
        ],
    )
    return loader


def whole_config(data: Path, work_dir: Path, model: Mapping = MappingProxyType({}), **changes: object) -> Config:
    """One iteration with all that can stand together; ``changes`` replace top-level keys."""
    head = head_config(loss_decode=dict(type="OhemLoss", min_kept=100))
    methods = dict(
        unlabeled_view="strong",
        confidence=dict(type="ConfidenceThreshold", threshold=0.1),
        alignment=dict(momentum=0.01),
        cutmix=dict(prob=1.0),
    )
    parts = dict(
        model=model_config(decode_head=head, **methods).to_dict() | dict(model),
        train_dataloader=labeled_loader(data),
        custom_hooks=[
            dict(type="SemanticMemoryHook", warmup_iters=1),
            dict(type="PseudoLabelStatisticsHook"),
            dict(type="ChannelsLastHook"),
            dict(type="SnapshotHook"),
        ],
        optim_wrapper=dict(type="AutocastOptimWrapper", optimizer=dict(type="SGD", lr=0.01)),
    )
    loop = dict(max_iters=1, unlabeled_dataloader=unlabeled_loader(data))
    cfg = run_config(data, work_dir, loop=loop, **parts | changes)
    cfg.default_hooks.checkpoint.type = "AtomicCheckpointHook"
    cfg.default_hooks.update(non_finite=dict(type="NonFiniteHook"), collapse=dict(type="CollapseMonitorHook"))
    cfg.default_hooks.fit = dict(type="CheckpointFitHook")
    cfg.default_hooks.visualization = dict(type="PredictionVisualizationHook")
    cfg.default_hooks.reliability = dict(type="PseudoLabelReliabilityHook", share=0.5, min_images=1)
    for name in ("PseudoLabelVisualizationHook", "ValidationRecordHook", "ReportHook"):
        cfg.default_hooks[name] = dict(type=name)
    return cfg


def guidedmix_configs(data: Path, work_dir: Path) -> Iterator[Config]:
    """GuidedMix-Net with each of its heads."""
    aspp = dict(in_channels=WIDTHS[-1], in_index=3, dilations=(1, 2))
    deep = aspp | dict(type="DeepLabV3PlusHead", c1_in_channels=WIDTHS[0], c1_channels=4)
    parts = dict(type="GuidedMixSegmentor", unsup_loss=dict(type="SigmoidFocalLoss"), cutmix=None)
    for head in (head_config(), head_config(**aspp | dict(type="SplitASPPHead")), head_config(**deep)):
        yield whole_config(data, work_dir, model=dict(parts, decode_head=head))


def all_configs(data: Path, work_dir: Path) -> Iterator[Config]:
    """The whole config, and others for what cannot stand in it with the rest."""
    yield whole_config(data, work_dir)
    plain = model_config().data_preprocessor.to_dict()
    yield whole_config(
        data,
        work_dir,
        model=dict(
            confidence=dict(type="ClassQuantileThreshold"),
            data_preprocessor=dict(type="SemiDataPreprocessor", preprocessor=plain),
        ),
    )
    supervised = dict(train_cfg=dict(type="SupervisedLoop", max_iters=1), model=model_config(type="EncoderDecoder"))
    cfg = run_config(data, work_dir, loop={}, **supervised)
    cfg.pop("unlabeled_dataloader")  # nobody reads it
    yield cfg
    for method, (model, loop) in METHODS.items():
        options = dict(train_cfg=dict(type="PseudoLabelLoop", max_iters=1, **loop))
        plain = dict(unlabeled_view="weak", alignment=None, confidence=None, cutmix=None)
        yield whole_config(data, work_dir, model=plain | model, custom_hooks=[teacher_hook(method)], **options)
    yield from guidedmix_configs(data, work_dir)
    vit = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
    backbone = dict(type="DINOv2Backbone", arch=vit, patch_size=CROP // 5, img_size=CROP)
    head = dict(type="PlainDPTHead", in_channels=[16] * 4, level_channels=[4] * 4, channels=8, num_classes=len(CLASSES))
    yield whole_config(data, work_dir, model=dict(backbone=backbone, neck=None, decode_head=head), custom_hooks=[])
    for name in ("CamVidDataset", "COCO81Dataset", "SyntheticDataset"):
        metainfo = dict(classes=DATASETS.get(name).METAINFO["classes"][: len(CLASSES)])
        loader = labeled_loader(data, type=name, img_suffix=".png", metainfo=metainfo)
        yield whole_config(data, work_dir, train_dataloader=loader)


def registered() -> dict[str, type]:
    """Every class of ours in a registry of mmseg, by name."""
    registries = [entry for entry in vars(mmseg.registry).values() if isinstance(entry, Registry)]
    entries = [entry for registry in registries for entry in registry.module_dict.items()]
    return {name: kind for name, kind in entries if kind.__module__.startswith(PACKAGE) and name == kind.__name__}


def places(part: Any, path: tuple = ()) -> Iterator[tuple[tuple, str]]:
    """Path and name of every component in a config."""
    if isinstance(part, dict) and isinstance(part.get("type"), str):
        yield path, part["type"]
    elif path in TYPELESS:
        yield path, TYPELESS[path]
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, (list, tuple)) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def own_parameters(kind: Callable) -> dict[str, tuple[Any, Any]]:
    """Name to (annotation, default) of the arguments that a class of ours takes itself."""
    init = inspect.unwrap(kind.__init__)
    if not getattr(init, "__module__", "").startswith(PACKAGE):
        return {}
    hints = get_type_hints(init)
    single = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = [entry for entry in inspect.signature(init).parameters.values() if entry.kind in single]
    return {p.name: (hints.get(p.name, Any), p.default) for p in named if p.name not in ("self", "runner", "init_cfg")}


def fits(value: object, annotation: Any) -> bool:
    """Whether a value is what an annotation says; a list may stand for a tuple, as it does in configs."""
    if annotation is Any or annotation is object:
        return True
    if annotation is None or annotation is type(None):
        return value is None
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is Literal:
        return value in arguments
    if origin is Annotated:
        return fits(value, arguments[0]) and arguments[1].problem(value) is None
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is tuple:
        same = isinstance(value, (tuple, list)) and len(value) == len(arguments)
        return same and all(map(fits, value, arguments))
    if origin in (list, Sequence):
        return isinstance(value, (tuple, list)) and all(fits(entry, arguments[0]) for entry in value)
    if origin is Mapping:
        return isinstance(value, dict)
    return isinstance(value, origin or annotation)


@dataclass(frozen=True)
class Case:
    """One thing changed in a config."""

    base: Config
    path: tuple  # of the component
    kind: str  # name of the component
    key: str  # what is changed
    value: object  # REQUIRED: the key is deleted
    words: tuple[str, ...]  # one of them an error has to hold
    wrong: bool  # whether training must not go on
    annotation: Any = None  # of the key, where there is one

    def config(self) -> Config:
        """Build the config."""
        cfg = copy.deepcopy(self.base)
        part = cfg._cfg_dict
        for step in self.path:
            part = part[step]
        if self.value is REQUIRED:
            del part[self.key]
        else:
            dict.__setitem__(part, self.key, copy.deepcopy(self.value))
        return cfg

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))} ({self.kind}): {self.key}={self.value!r}"


def misspelled(word: str) -> str:
    """Two letters change places, as fingers do it."""
    place = next(i for i in reversed(range(len(word) - 1)) if word[i] != word[i + 1])
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def component_cases(base: Config, path: tuple, kind: type) -> Iterator[Case]:
    """All that is tried with one component of ours."""
    part = reduce(getitem, path, base._cfg_dict)
    name, own = kind.__name__, own_parameters(kind)
    if path not in TYPELESS:
        yield Case(base, path, name, "type", misspelled(name), (misspelled(name),), True)
    yield Case(base, path, name, "intervall", 1, ("intervall", f"{name}() takes no arguments"), True)
    for key, (annotation, default) in own.items():
        yield Case(base, path, name, misspelled(key), 1, (misspelled(key),), True)
        for value in VALUES:
            words = (key, "Nope is not in", *(["has no key"] if isinstance(value, dict) else []))  # options of a part
            yield Case(base, path, name, key, value, words, not fits(value, annotation), annotation)
        if default is REQUIRED and key in part:
            yield Case(base, path, name, key, REQUIRED, (key,), True)


def all_cases(data: Path, work_dir: Path) -> list[Case]:
    """Every component of ours in one place for each loader."""
    kinds, found = registered() | dict(CutMix=CutMix), {}
    for cfg in all_configs(data, work_dir):
        for path, name in places(cfg._cfg_dict):
            if name in kinds:
                found.setdefault((path[0], name), (cfg, path, kinds[name]))
    missing = set(kinds) - {name for _, name in found} - BUILT_BY_US - BY_IMPORT
    assert not missing, f"no config of this file has {missing}"
    return [case for place in found.values() for case in component_cases(*place)]
