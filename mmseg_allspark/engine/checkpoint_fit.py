"""What of a checkpoint fits a model, and how to say what does not."""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, chain

import torch
from torch import Tensor, nn

from mmseg_allspark.utils.training_only import training_only_names

Shape = tuple[int, ...]
SHOWN = 6  # modules named in a message; a wrong backbone has hundreds


@dataclass
class CheckpointFit:
    """What of a state dict fits a model; names are those of the model's state dict.

    Args:
        state: For every name of the model's state dict the checkpoint's value, or the model's where none fits.
        loaded: Names whose value is the checkpoint's.
        changed: Names whose shape is another, with the shape in the checkpoint and in the model. Buffers of a module of
            which one has another shape are dropped together: a fill level says nothing about another memory.
        adapted: The same for what the module has resized itself, e.g. position embeddings.
        missing: Names that the checkpoint does not have.
        unexpected: Names that only the checkpoint has.
        training_only: Names of what only training uses.
        parameters: Names of all parameters of the model.
    """

    state: OrderedDict = field(default_factory=OrderedDict)
    loaded: set[str] = field(default_factory=set)
    changed: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)
    adapted: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    training_only: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)

    @property
    def is_whole(self) -> bool:
        """Whether everything fits as it is."""
        return not (self.changed or self.adapted or self.missing or self.unexpected)

    def describe(self) -> str:
        """Say in a few sentences, by module, what does not fit."""
        parts = [f"{len(self.loaded)} of {len(self.state)} entries are taken from the checkpoint."]
        if self.changed:
            parts.append(f"Of another shape (checkpoint -> model), not taken: {_list_shapes(self.changed)}.")
        if self.adapted:
            parts.append(f"Resized (checkpoint -> model): {_list_shapes(self.adapted)}.")
        if self.missing:
            parts.append(f"Not in the checkpoint: {_list_modules(self.missing, self.state.keys() - {*self.missing})}.")
        if self.unexpected:
            parts.append(f"Only in the checkpoint, not used: {_list_modules(self.unexpected, self.state)}.")
        return " ".join(parts)


@torch.no_grad()
def fit_state_dict(model: nn.Module, state_dict: Mapping[str, Tensor]) -> CheckpointFit:
    """Find out what of a state dict a model can load; the model stays as it is.

    Args:
        model: The model, without a wrapper.
        state_dict: Of the checkpoint.

    Returns:
        What fits and what does not.
    """
    parameters = {name for name, _ in model.named_parameters()}
    fit = CheckpointFit(parameters=parameters, training_only=training_only_names(model))
    metadata = getattr(state_dict, "_metadata", {})

    def visit(module: nn.Module, state: dict, prefix: str) -> None:
        tensors = chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
        own = {prefix + name: tensor for name, tensor in tensors if prefix + name in known}
        before = {key: tensor.clone() for key, tensor in own.items()}
        # The module's own way to load, because it may rename and resize what it finds (position embeddings).
        module._load_from_state_dict(state, prefix, metadata.get(prefix[:-1], {}), True, [], fit.unexpected, [])
        for key, tensor in own.items():
            tensor.copy_(before[key])
        buffers = {prefix + name for name, _ in module.named_buffers(recurse=False)}
        _sort_entries(fit, before, state, state_dict, buffers)
        for name, child in module.named_children():
            below = f"{prefix}{name}."
            visit(child, {key: value for key, value in state.items() if key.startswith(below)}, below)

    known = model.state_dict()
    visit(model, dict(state_dict), "")
    fit.state._metadata = metadata
    return fit


def _sort_entries(
    fit: CheckpointFit, own: dict[str, Tensor], state: dict, state_dict: Mapping[str, Tensor], buffers: set[str]
) -> None:
    """Sort a module's own entries by whether ``state``, what it made of ``state_dict``, fits."""
    misfits = {key for key, tensor in own.items() if key in state and state[key].shape != tensor.shape}
    if misfits & buffers:
        misfits |= buffers & own.keys() & state.keys()
    for key, tensor in own.items():
        fit.state[key] = tensor if key in misfits or key not in state else state[key]
        if key not in state:
            fit.missing.append(key)
            continue
        shapes = tuple(state_dict.get(key, state[key]).shape), tuple(tensor.shape)
        if key in misfits:
            fit.changed[key] = shapes
            continue
        fit.loaded.add(key)
        if shapes[0] != shapes[1]:
            fit.adapted[key] = shapes


def _list_shapes(shapes: dict[str, tuple[Shape, Shape]]) -> str:
    """E.g. ``decode_head.conv_seg (weight 4x16x1x1 -> 6x16x1x1, bias 4 -> 6)``."""
    modules: dict[str, list[str]] = {}
    for key, (old, new) in shapes.items():
        module, _, name = key.rpartition(".")
        text = f"{name} {_write_shape(old)} -> {_write_shape(new)}" if old != new else f"{name} with it"
        modules.setdefault(module, []).append(text)
    return _shorten([f"{module} ({', '.join(entries)})" for module, entries in modules.items()])


def _write_shape(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "one number"


def _list_modules(keys: Iterable[str], known: Collection[str]) -> str:
    """E.g. ``neck (24 entries)``: the largest modules of which nothing is known."""
    prefixes = {prefix for key in known for prefix in _prefixes(key)}
    modules = Counter(next((prefix for prefix in _prefixes(key) if prefix not in prefixes), key) for key in keys)
    return _shorten([f"{name} ({count} entries)" if count > 1 else name for name, count in modules.items()])


def _prefixes(key: str) -> Iterable[str]:
    return accumulate(key.split("."), "{}.{}".format)


def _shorten(items: list[str]) -> str:
    return ", ".join(items[:SHOWN]) + (f" and {len(items) - SHOWN} modules more" if len(items) > SHOWN else "")
