"""What of given weights fits a model, and whether the model can infer with them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.embedded_config import read_embedded_config
from mmseg_allspark.utils.training_only import training_only_names

_INFERENCE = ("backbone.", "neck.", "decode_head.")
_SHOWN = 10  # in a list; of a wrong backbone there are hundreds


@dataclass
class WeightsFit:
    """What of given weights fits a model; names are those of state dicts."""

    state: OrderedDict[str, Tensor]  # for every name of the model the given value, or the model's where none fits
    # names that do not fit, with both shapes; buffers of a module of which one has another shape are dropped together:
    # a fill level says nothing about another memory
    changed: dict[str, str]
    resized: dict[str, str]  # by the module itself, e.g. position embeddings, with both shapes
    missing: list[str]  # names that were not given
    unexpected: list[str]  # names that the model does not have

    def describe(self) -> str:
        """Say in a few sentences what does not fit."""
        loaded = len(self.state) - len(self.changed) - len(self.missing)
        lists = {
            "Of another shape (checkpoint -> model), not taken": [*map(" ".join, self.changed.items())],
            "Resized (checkpoint -> model)": [*map(" ".join, self.resized.items())],
            "Not in the checkpoint": _list_parts(self.missing),
            "Only in the checkpoint, not used": _list_parts(self.unexpected),
        }
        sentences = [f"{title}: {shorten(entries)}." for title, entries in lists.items() if entries]
        return " ".join([f"{loaded} of {len(self.state)} entries are taken from the checkpoint.", *sentences])


@torch.no_grad()
def fit_weights(model: nn.Module, weights: dict[str, Tensor]) -> WeightsFit:
    """Find out which weights a model without a wrapper can load; the model stays as it is."""
    own = {key: value.clone() for key, value in model.state_dict().items()}
    given, unexpected, metadata = dict(weights), [], getattr(weights, "_metadata", {})
    for name, module in model.named_modules():
        # The module's own way to load, because it may rename and resize what it finds (position embeddings).
        prefix = f"{name}." if name else ""
        module._load_from_state_dict(given, prefix, metadata.get(name, {}), True, [], unexpected, [])
    for key, value in model.state_dict().items():
        value.copy_(own[key])
    shapes = {key: f"{_write(weights.get(key, given[key]))} -> {_write(own[key])}" for key in own if key in given}
    misfits = {key for key in shapes if given[key].shape != own[key].shape}
    spoiled = {key.rpartition(".")[0] for key, _ in model.named_buffers() if key in misfits}
    misfits |= {key for key, _ in model.named_buffers() if key in shapes and key.rpartition(".")[0] in spoiled}
    state = OrderedDict((key, given[key] if key in shapes and key not in misfits else own[key]) for key in own)
    state._metadata = metadata
    return WeightsFit(
        state=state,
        changed={key: text for key, text in shapes.items() if key in misfits},
        resized={
            key: text
            for key, text in shapes.items()
            if key not in misfits and weights.get(key, own[key]).shape != own[key].shape
        },
        missing=[key for key in own if key not in given],
        unexpected=unexpected,
    )


def check_inference_fit(model: nn.Module, fit: WeightsFit, name: str, checkpoint: Any) -> None:
    """Raise unless a model that infers with given weights is the network that was trained.

    A table that a module computes itself may be missing; what only training uses may be missing or left over.

    Args:
        model: The model.
        fit: How the chosen weights fit it.
        name: The checkpoint's file, for messages.
        checkpoint: Its content; the config inside tells what of it only training uses.

    Raises:
        ValueError: Naming some of the weights that do not fit.
    """
    trained = {key for key, _ in model.named_parameters()}
    trained |= {key for key in fit.missing if key.endswith(("running_mean", "running_var"))}
    wrong = (fit.changed.keys() | trained.intersection(fit.missing)) - training_only_names(model)
    unknown = [key for key in fit.unexpected if not key.startswith("auxiliary_head.")]
    own = _model_of_checkpoint(checkpoint, name) if unknown else None
    if own is not None:
        unused = training_only_names(own)
        unknown = [key for key in unknown if key not in unused]
    if not (wrong or unknown):
        return
    remedy = (
        "Use the config that the checkpoint was trained with (model, num_classes); tools/infer.py and tools/export.py "
        "take '-' (Python: None) for the config inside the checkpoint."
    )
    added_by_method = own is not None and own.state_dict().keys() >= {*unknown}
    if added_by_method and not wrong and not any(key.startswith(_INFERENCE) for key in unknown):
        remedy = (
            f"If only training needs {unknown[0]}, its module says training_only = True, see docs/add_a_method.md; a "
            "model that infers with it needs its own config, and there is no plain EncoderDecoder for it."
        )
    raise ValueError(
        f"{name} does not fit the config's model, and another network than the trained one would be used. "
        f"{fit.describe()} {remedy}"
    )


def _model_of_checkpoint(checkpoint: Any, name: str) -> nn.Module | None:
    """The model that wrote a checkpoint, to ask its modules what they are; None without a config inside."""
    try:
        return MODELS.build(read_embedded_config(checkpoint, name).model)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):  # not ours, or of another version
        return None


def _write(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"


def _list_parts(keys: Sequence[str]) -> list[str]:
    """E.g. ``neck (24 entries from neck.norm.weight on)``, by the parts of a segmentor."""
    parts: dict[str, list[str]] = {}
    for key in keys:
        parts.setdefault(key.partition(".")[0], []).append(key)
    return [f"{part} ({len(found)} entries from {found[0]} on)" for part, found in parts.items()]


def shorten(items: Sequence[str]) -> str:
    """The first entries of a list, which may have hundreds."""
    return ", ".join(items[:_SHOWN]) + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")
