"""ChannelsLastHook: makes training faster and leaves its results alone."""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import apply_to
from mmseg.registry import HOOKS
from torch import Tensor

from mmseg_allspark.utils.wrappers import averages, bare_model


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep 4-D weights (those of convolutions) in channels-last memory format during training.

    Feature maps follow the weights. The model, its moving average (``EMAHook``) and the optimizer's state are
    converted; checkpoints are written in the usual format, so they do not show that the hook was there.
    """

    priority = "LOW"  # before_save_checkpoint: after EMAHook has added its weights

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

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write contiguous tensors."""
        states = [checkpoint.get(key, {}) for key in ("state_dict", "ema_state_dict")]
        for state in (*states, *checkpoint.get("other_teachers", ())):
            for name, value in state.items():
                if _is_map(value):
                    state[name] = value.contiguous()
        if "optimizer" in checkpoint:
            checkpoint["optimizer"] = apply_to(checkpoint["optimizer"], _is_map, Tensor.contiguous)


def _is_map(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() == 4


def _convert(value: object) -> None:
    """Change the memory format of a 4-D tensor; it stays the same object, which optimizer and EMAHook refer to."""
    if _is_map(value):
        value.data = value.data.contiguous(memory_format=torch.channels_last)
