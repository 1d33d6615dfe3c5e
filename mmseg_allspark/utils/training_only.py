"""Which weights of a model only training uses."""

from torch import nn


def training_only_names(model: nn.Module) -> set[str]:
    """Names in the state dict of a model that inference does not use.

    A module says it of itself and of all below it by the attribute ``training_only = True``; mmseg's
    ``auxiliary_head`` cannot.

    Args:
        model: The model, without a wrapper.
    """
    names = model.state_dict().keys()
    prefixes = [f"{prefix}." for prefix, module in model.named_modules() if getattr(module, "training_only", False)]
    return {name for name in names if name.startswith(("auxiliary_head.", *prefixes))}
