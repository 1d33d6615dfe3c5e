"""Access to a model whatever it is wrapped in."""

from mmengine.model import is_model_wrapper
from torch import nn


def bare_model(model: nn.Module) -> nn.Module:
    """Return the model inside a distributed wrapper, or the model itself.

    Args:
        model: A runner's model.
    """
    return model.module if is_model_wrapper(model) else model
