"""Access to a model whatever it is wrapped in, and to its modes."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.hooks import EMAHook
from mmengine.model import BaseAveragedModel, is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def bare_model(model: nn.Module) -> nn.Module:
    """Return the model inside a distributed wrapper, or the model itself.

    Args:
        model: A runner's model.
    """
    return model.module if is_model_wrapper(model) else model


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode for a while; every submodule then gets its own mode back.

    ``model.train()`` alone would put submodules that a user keeps in eval mode, such as frozen norms, into train mode.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():  # parents first, so that a child's own mode is the last one set
            if module.training != training:
                module.train(training)


def averages(runner: Runner) -> list[BaseAveragedModel]:
    """Return all moving averages of a run's model, those of several teachers in their order."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    return [average for hook in hooks for average in getattr(hook, "teachers", [hook.ema_model])]
