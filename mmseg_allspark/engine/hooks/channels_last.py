"""ChannelsLastHook: makes training faster and leaves its results alone."""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from mmseg_allspark.utils.wrappers import averages, bare_model


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep 4-D weights (those of convolutions) in channels-last memory format during training.

    Feature maps follow the weights. The model, its moving average (``EMAHook``) and the optimizer's state are
    converted. A checkpoint loads into either format.
    """

    priority = "LOW"

    def before_train(self, runner: Runner) -> None:
        """Convert: weights are initialised and loaded by now, and initialising follows the order in memory."""
        found = averages(runner)
        for model in (bare_model(runner.model), *(average.module for average in found)):
            for tensor in (*model.parameters(), *model.buffers()):
                _convert(tensor)
        for average in found:
            if average.update_buffers:  # then mmengine updates it through a state dict taken when it was built
                state = average.module.state_dict()
                average.avg_parameters = {name: state[name] for name in average.avg_parameters}
        for state in runner.optim_wrapper.optimizer.state.values():  # of a resumed run
            for value in state.values():
                _convert(value)


def _convert(value: object) -> None:
    """Change the memory format of a 4-D tensor; it stays the same object, which optimizer and EMAHook refer to."""
    if isinstance(value, Tensor) and value.dim() == 4:
        value.data = value.data.contiguous(memory_format=torch.channels_last)
