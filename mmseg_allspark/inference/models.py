"""Config, classes, weights and model of a checkpoint, for whoever uses a trained model."""

import copy
import inspect
import os
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from torch import Tensor, nn

from mmseg_allspark.models import holds_average
from mmseg_allspark.utils.config_files import read_config
from mmseg_allspark.utils.config_types import name_types
from mmseg_allspark.utils.embedded_config import read_embedded_config
from mmseg_allspark.utils.images import class_palette
from mmseg_allspark.utils.weights_fit import check_inference_fit, fit_weights

WEIGHTS = ("ema", "model")
MEANING = {"ema": "averaged (ema)", "model": "as trained (model)"}


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
    told = [checkpoint_meta.get("dataset_meta") or {}]
    told.append(dict(classes=checkpoint_meta.get("CLASSES"), palette=checkpoint_meta.get("PALETTE")))  # mmseg 0.x
    for dataset, kind in _evaluated(cfg):
        told += [dataset.get("metainfo") or {}, getattr(kind, "METAINFO", {})]
    meta = next((meta for meta in told if meta.get("classes")), {})
    head = cfg.model.decode_head
    num_classes = (head[-1] if isinstance(head, (list, tuple)) else head).num_classes
    classes = tuple(meta.get("classes") or map(str, range(num_classes)))
    return dict(classes=classes, palette=tuple(map(tuple, class_palette(meta.get("palette"), len(classes)))))


def reduces_zero_label(cfg: Config) -> bool:
    """Whether class k has the number k + 1 in the mask files: ``reduce_zero_label`` of the data set evaluated.

    Args:
        cfg: The config. Where its data set does not say, the default of the data set's class counts.
    """
    for dataset, kind in _evaluated(cfg):
        for base in inspect.getmro(kind) if inspect.isclass(kind) else ():
            argument = inspect.signature(base.__init__).parameters.get("reduce_zero_label")
            if argument is not None:
                return bool(dataset.get("reduce_zero_label", argument.default))
    return False


def _evaluated(cfg: Config) -> Iterator[tuple[dict, Any]]:
    """Configs and classes of the data sets that say what labels mean, the one evaluated first."""
    for loader in ("test_dataloader", "val_dataloader", "train_dataloader"):
        dataset = (cfg.get(loader) or {}).get("dataset") or {}
        while "dataset" in dataset or "datasets" in dataset:  # repeated or concatenated
            dataset = dataset["dataset"] if "dataset" in dataset else dataset["datasets"][0]
        if dataset:
            kind = dataset.get("type")
            yield dataset, DATASETS.get(kind) if isinstance(kind, str) else kind


def choose_weights(checkpoint: dict, which: str | None, name: str) -> tuple[dict[str, Tensor], str]:
    """Return the averaged or the trained weights of a checkpoint.

    mmengine's ``EMAHook`` stores the average as ``state_dict`` and the trained weights as ``ema_state_dict``, our
    ``MeanTeacherHook`` the evaluated ones as ``state_dict``.

    Args:
        checkpoint: Its content.
        which: ``'ema'``, ``'model'``, or None: those stored as ``state_dict``.
        name: Of the file, for messages.

    Returns:
        The weights, and which they are.

    Raises:
        ValueError: If the checkpoint does not have them.
    """
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ValueError(f"{name} has no state_dict: give a checkpoint that mmengine or tools/publish.py wrote.")
    stored = {key.removeprefix("module."): value for key, value in checkpoint["state_dict"].items()}
    other = checkpoint.get("ema_state_dict") or {}
    trained = {key.removeprefix("module."): value for key, value in other.items() if key.startswith("module.")}
    if not trained:  # publish.py and export.py write down which they kept
        kinds = {(checkpoint.get("meta") or {}).get("weights", "model"): stored}
    elif holds_average(checkpoint):
        kinds = {"ema": stored, "model": trained}
    else:
        kinds = {"model": stored, "ema": trained}
    which = which or next(iter(kinds))
    if which not in kinds:
        raise ValueError(
            f"{name} holds no {which!r} weights, only {next(iter(kinds))!r}: leave --weights out, or give the "
            "checkpoint that training with an EMAHook wrote."
        )
    return kinds[which], which


def load_model(cfg: Config, checkpoint: dict, name: str, which: str | None = None) -> tuple[nn.Module, str]:
    """Build the model of a config and load a checkpoint of it.

    Args:
        cfg: The config; not changed.
        checkpoint: The checkpoint's content.
        name: The checkpoint's file, for messages.
        which: As in :func:`choose_weights`.

    Returns:
        The model, in eval mode, on the CPU, and which weights it has. One that evaluates several teachers together
        has the others of the checkpoint.

    Raises:
        ValueError: If the checkpoint does not have the weights, or they do not fit.
    """
    weights, which = choose_weights(checkpoint, which, name)
    init_default_scope(cfg.get("default_scope", "mmseg"))
    model_cfg = cfg.model.copy()
    model_cfg.pop("pretrained", None)  # replaced anyway
    if model_cfg.backbone.get("pretrained") is True:
        model_cfg.backbone = dict(model_cfg.backbone, pretrained=False)  # TIMMBackbone would download weights
    model_cfg.train_cfg = model_cfg.get("train_cfg") or {}
    model = MODELS.build(model_cfg)
    fit = fit_weights(model, weights)
    check_inference_fit(model, fit, name, checkpoint)
    model.load_state_dict(fit.state)
    if which == "ema" and hasattr(model, "other_teachers"):
        model.other_teachers = tuple(_copy_with(model, other) for other in checkpoint.get("other_teachers") or ())
    return model.eval(), which


def _copy_with(model: nn.Module, average: dict[str, Tensor]) -> nn.Module:
    """A copy of a model with the weights of a moving average of it."""
    model = copy.deepcopy(model).eval()
    weights = {key.removeprefix("module."): value for key, value in average.items() if key.startswith("module.")}
    model.load_state_dict(fit_weights(model, weights).state)
    return model
