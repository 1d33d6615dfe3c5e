"""Hooks that make training faster and leave its results alone: ChannelsLastHook and CompileHook."""

from collections.abc import Sequence

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import apply_to
from mmseg.registry import HOOKS
from torch import Tensor

from mmseg_allspark.utils.checks import check_types
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


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile parts of the model with :meth:`torch.nn.Module.compile`, in place.

    Parameters, their names and checkpoints stay as they are. A part is compiled when it is first called, and again for
    a new form of its input: labelling, training, another image size in validation. The same parts of the moving
    average (``EMAHook``) are compiled as well, which costs nothing unless it labels.

    Args:
        modules: Names of submodules of the model, e.g. ``['neck']`` or ``['backbone', 'decode_head']``.
        **options: Those of :func:`torch.compile`, e.g. ``backend='inductor'``, ``mode='max-autotune'``,
            ``dynamic=True``.

    Raises:
        TypeError, ValueError: If ``modules`` is not a list of names; at the start, if the model has no such module.
    """

    priority = "LOW"

    @check_types
    def __init__(self, modules: Sequence[str], **options: object) -> None:
        if not modules:
            raise ValueError("CompileHook.modules is empty: name parts of the model, e.g. ['neck'].")
        self.modules, self.options = list(modules), options

    def before_train(self, runner: Runner) -> None:
        """Mark the parts for compilation: EMAHook has made its copy by now."""
        for model in (bare_model(runner.model), *(average.module for average in averages(runner))):
            known = dict(model.named_modules())
            for name in self.modules:
                if not name or name not in known:
                    parts = ", ".join(child for child, _ in model.named_children())
                    raise ValueError(
                        f"CompileHook.modules: the model has no part {name!r}; it has {parts} and theirs (a.b)."
                    )
                known[name].compile(**self.options)
        runner.logger.info(f"CompileHook: {', '.join(self.modules)} will be compiled when first called.")


def _is_map(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() == 4


def _convert(value: object) -> None:
    """Change the memory format of a 4-D tensor; it stays the same object, which optimizer and EMAHook refer to."""
    if _is_map(value):
        value.data = value.data.contiguous(memory_format=torch.channels_last)
