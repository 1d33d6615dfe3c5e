"""A trained semi-supervised model as a plain one: an EncoderDecoder, and a config without training."""

import copy
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import DATASETS, MODELS
from torch import Tensor

from mmseg_allspark.methods import SemiSegmentor
from mmseg_allspark.utils.config_types import find_class, name_types
from mmseg_allspark.utils.weights_fit import check_inference_fit, fit_weights

from .models import choose_weights, read_dataset_meta

_PLUGIN = "mmseg_allspark"
_MM_PACKAGES = ("mmcv", "mmengine", "mmseg", "torch")
# what testing and inference read of a config
_KEPT = (
    "default_scope", "env_cfg", "log_level", "visualizer", "test_pipeline", "tta_pipeline", "tta_model",
    "val_dataloader", "val_cfg", "val_evaluator", "test_dataloader", "test_cfg", "test_evaluator",
)  # fmt: skip
_NECK_MEMORY = ("memory_size", "grouping", "similarity", "grouping_map", "sync")
# ours -> mmseg's, and the arguments that only ours have
_TRANSFORMS = {
    "LoadImage": ("LoadImageFromFile", ("unreadable",)),
    "PadAndMark": ("Pad", ()),
    "LoadSegMask": ("LoadAnnotations", ("num_classes", "ignore_index", "optional", "drawn_on")),
    "PackSemiInputs": ("PackSegInputs", ()),
}


@dataclass
class Plain:
    """A plain model."""

    cfg: Config
    state_dict: dict[str, Tensor]  # with exactly the names of the model
    model: EncoderDecoder  # built and loaded, in eval mode, on the CPU
    needs: dict[str, tuple[str, ...]]  # packages beside mmseg's with the classes it has of them; empty: mmseg suffices
    dropped: tuple[str, ...]  # names of the weights that were left out
    dataset_meta: dict[str, tuple]  # ``classes`` and ``palette``


def make_plain(cfg: Config, checkpoint: dict, name: str, which: str | None = None) -> tuple[Plain, str]:
    """Turn a trained model into a plain one.

    Args:
        cfg: The config it was trained with; not changed.
        checkpoint: The checkpoint's content.
        name: The checkpoint's file, for messages.
        which: As in :func:`choose_weights`.

    Returns:
        The plain model, and which weights it has.

    Raises:
        ValueError: If the weights do not fit, or the segmentor is no ``EncoderDecoder``.
    """
    cfg = name_types(cfg)
    init_default_scope(cfg.default_scope)
    weights, which = choose_weights(checkpoint, which, name)
    meta = read_dataset_meta(cfg, checkpoint.get("meta") or {})
    plain_cfg = plain_config(cfg, meta)
    model = MODELS.build(plain_cfg.model)
    if type(model) is not EncoderDecoder:
        raise ValueError(
            f"model.type={plain_cfg.model.type!r}: only EncoderDecoder, SemiSegmentor and methods derived from it "
            "become a plain model."
        )
    # tensors on the segmentor itself, names without a dot: an EncoderDecoder cannot use them, whatever they are
    fit = fit_weights(model, {key: value for key, value in weights.items() if "." in key})
    check_inference_fit(model, fit, name, checkpoint)
    state_dict = {key: value.detach().cpu().clone() for key, value in fit.state.items()}
    model.load_state_dict(state_dict)
    dropped = tuple(key for key in weights if key not in state_dict)
    imported = (cfg.get("custom_imports") or {}).get("imports") or []
    needs = needed_packages(plain_cfg)
    imports = needed_imports([imported] if isinstance(imported, str) else imported, needs)
    if imports:
        plain_cfg.custom_imports = dict(imports=imports, allow_failed_imports=False)
    packages = {name.partition(".")[0] for name in imports}.union(needs) - {""}
    needs = {package: needs.get(package, ()) for package in sorted(packages)}
    return Plain(plain_cfg, state_dict, model.eval(), needs, dropped, meta), which


def needed_packages(cfg: Config) -> dict[str, tuple[str, ...]]:
    """Return the packages beside mmseg's that a config needs, with the classes that it has of each.

    The package of classes that nobody has by now, such as those that ``custom_imports`` would register, is ``''``.

    Args:
        cfg: The config, after its model was built: only then registries have what they import on demand.
    """
    packages: dict[str, set[str]] = {}
    for kind in _types(cfg._cfg_dict.to_dict()):
        packages.setdefault(_package(kind), set()).add(kind)
    return {package: tuple(sorted(packages[package])) for package in sorted(packages) if package not in _MM_PACKAGES}


def needed_imports(imports: Sequence[str], needs: dict[str, tuple[str, ...]]) -> list[str]:
    """Return those of a config's ``custom_imports`` that its plain model needs.

    Args:
        imports: Their names; this package is added where it is needed.
        needs: See :func:`needed_packages`.

    Returns:
        Those whose name has that of a needed package in it, such as ``mmseg_allspark.models.backbones.from_mmpretrain``
        for mmpretrain. All of them where that leaves a package out: any may register its classes.
    """
    names = list(dict.fromkeys([*imports, *(_PLUGIN for package in needs if package == _PLUGIN)]))
    # mmengine finds 'mmpretrain.ViTSAM' by the scope in its name
    wanted = [package for package, kinds in needs.items() if not all(kind.startswith(f"{package}.") for kind in kinds)]
    if all(package and any(package in name for name in names) for package in wanted):
        return [name for name in names if any(package in name for package in needs)]
    return names


def _package(kind: str) -> str:
    return getattr(find_class(kind), "__module__", "").partition(".")[0]


def _types(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("type"), str):
            yield part["type"]
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        for item in part:
            yield from _types(item)


def plain_config(cfg: Config, meta: dict[str, tuple]) -> Config:
    """Return a new config that tests and infers only, and reads data with mmseg's own classes; nothing is imported."""
    kept = {key: _with_mmseg_data(copy.deepcopy(cfg[key]), meta) for key in _KEPT if key in cfg}
    kept["model"] = plain_model(cfg.model)
    hook = (cfg.get("default_hooks") or {}).get("visualization")
    if hook:
        kept["default_hooks"] = dict(visualization=copy.deepcopy(hook))
    return Config(kept)


def plain_model(model: ConfigDict) -> ConfigDict:
    """Return the config of a model without what only training uses."""
    plain = copy.deepcopy(model)
    kind = MODELS.get(plain.type)
    if inspect.isclass(kind) and issubclass(kind, SemiSegmentor):
        methods = kind.__mro__[: kind.__mro__.index(EncoderDecoder)]
        own = {name for method in methods for name in inspect.signature(method.__init__).parameters}
        for key in (own & set(plain)) - {"data_preprocessor"}:
            del plain[key]
        plain.type = "EncoderDecoder"
    # a head that training takes apart is mmseg's at test time
    head = MODELS.get(plain.decode_head.type)
    plain.decode_head.type = getattr(head, "plain_type", plain.decode_head.type)
    for key in ("pretrained", "auxiliary_head", "init_cfg"):
        plain.pop(key, None)
    plain.train_cfg = None
    (plain.get("test_cfg") or {}).pop("average", None)  # mmseg averages the logits of windows and nothing else
    plain.backbone.pop("init_cfg", None)
    if plain.backbone.pop("pretrained", None) is True:
        plain.backbone.pretrained = False  # TIMMBackbone would download weights
    if (plain.get("neck") or {}).get("type") == "AllSparkNeck":
        for key in _NECK_MEMORY:
            plain.neck.pop(key, None)
        plain.neck.memory = False
    return plain


def _with_mmseg_data(part: Any, meta: dict[str, tuple]) -> Any:
    """Return a part of a config with mmseg's transforms and data sets for ours."""
    if isinstance(part, (list, tuple)):
        return [_with_mmseg_data(item, meta) for item in part]
    if not isinstance(part, dict):
        return part
    part = {key: _with_mmseg_data(value, meta) for key, value in part.items()}
    if part.get("type") in _TRANSFORMS:
        kind, own = _TRANSFORMS[part["type"]]
        return {key: value for key, value in part.items() if key not in own} | dict(type=kind)
    if isinstance(part.get("type"), str) and part["type"] in DATASETS.module_dict and _package(part["type"]) == _PLUGIN:
        return _as_base_dataset(part, meta)
    return part


def _as_base_dataset(dataset: dict, meta: dict[str, tuple]) -> dict:
    arguments = inspect.signature(DATASETS.get(dataset["type"])).parameters
    known = set(inspect.signature(DATASETS.get("BaseSegDataset")).parameters)
    suffixes = {
        key: arguments[key].default or _image_suffix(dataset)
        for key in ("img_suffix", "seg_map_suffix")
        if key in arguments and arguments[key].default is not inspect.Parameter.empty
    }
    kept = {key: value for key, value in dataset.items() if key in known}
    metainfo = dict(meta, **(kept.pop("metainfo", None) or {}))
    return suffixes | kept | dict(type="BaseSegDataset", metainfo=metainfo)


def _image_suffix(dataset: dict) -> str:
    """Choose as CamVidDataset does: '.jpg' if the folder holds such files."""
    folder = Path(dataset.get("data_root") or "", (dataset.get("data_prefix") or {}).get("img_path") or "")
    return ".jpg" if next(folder.rglob("*.jpg"), None) else ".png"
