"""What modules return, without putting anything on them."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any

from mmengine.utils.misc import apply_to
from torch import Tensor, nn


class Recorder:
    """Keeps the outputs of modules while a ``with`` block runs.

    Args:
        model: The model.
        modules: Name in the record to name of the module, as in ``model.named_modules()``.

    ``with`` gives the record: a dict from each name to the list of the module's outputs, one entry per call in their
    order. Tensors, also those inside tuples, lists and dicts, are detached copies on the CPU, so a later in-place
    operation does not change them. The hooks are gone after the block, also after an exception; the record stays.

    Examples:
        >>> with Recorder(model, {"tokens": "neck.token_norm"}) as record:
        ...     model.extract_feat(images)
        >>> record["tokens"][0].shape
    """

    def __init__(self, model: nn.Module, modules: Mapping[str, str]) -> None:
        known = dict(model.named_modules())
        for name in modules.values():
            if name not in known:
                close = get_close_matches(name, known, n=5) or [child for child, _ in model.named_children()]
                raise KeyError(f"The model has no module {name!r}; it has {', '.join(close)}.")
        self._modules = {name: known[path] for name, path in modules.items()}
        self._handles: list[Any] = []

    def __enter__(self) -> dict[str, list[Any]]:
        record: dict[str, list[Any]] = {name: [] for name in self._modules}
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_hook(partial(_keep, record[name])))
        return record

    def __exit__(self, *exception: object) -> None:
        while self._handles:
            self._handles.pop().remove()


def _keep(outputs: list[Any], module: nn.Module, inputs: Any, output: Any) -> None:
    def copy(tensor: Tensor) -> Tensor:
        return tensor.detach().to("cpu", copy=True)

    outputs.append(apply_to(output, lambda item: isinstance(item, Tensor), copy))
