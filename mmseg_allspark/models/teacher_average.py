"""The weights of a teacher: the exponential moving average of a student, with its buffers."""

from typing import Annotated, Literal

import torch
from mmengine.model import ExponentialMovingAverage
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_allspark.utils.checks import Between, check_types


@MODELS.register_module()
class TeacherAverage(ExponentialMovingAverage):
    """Moving average of parameters and, by default, floating-point buffers, such as the statistics of batch norm.

    teacher <- (1 - momentum) * teacher + momentum * student after every step (Mean Teacher, arXiv 1703.01780,
    equation 2). What has no mean is copied: integer buffers, and the buffers of modules that say
    ``copied_by_teacher = True``, such as a queue of features. mmengine's average leaves the first as they were and
    averages the second. A module that says ``shared_with_teacher = True``, such as a second network that no teacher
    follows, is not copied at all: the teacher has the student's.

    Args:
        model: The student.
        momentum: Share of the student, 1 - alpha of the paper. Default 0.01.
        warmup: Use max(momentum, 1 / (step + 1)), so that the random start is forgotten sooner (the paper's public
            implementation). Default False.
        buffers: ``'average'``; ``'copy'``: the student's; ``'own'``: they move by the teacher's own passes in train
            mode. Default ``'average'``.
        **kwargs: ``interval`` and ``device`` of :class:`mmengine.model.ExponentialMovingAverage`.
    """

    @check_types
    def __init__(
        self,
        model: nn.Module,
        momentum: Annotated[float, Between(1e-6, 1.0 - 1e-6)] = 0.01,  # mmengine has neither end
        warmup: bool = False,
        buffers: Literal["average", "copy", "own"] = "average",
        **kwargs: object,
    ) -> None:
        kwargs["update_buffers"] = True
        super().__init__(model, momentum=momentum, **kwargs)
        shared = [name for name, module in model.named_modules() if getattr(module, "shared_with_teacher", False)]
        for name in shared:
            self.module.set_submodule(name, model.get_submodule(name))
        prefixes = tuple(f"{name}." for name in shared)
        self.avg_parameters = {k: v for k, v in self.avg_parameters.items() if not k.startswith(prefixes)}
        self.warmup, self.buffer_mode = warmup, buffers  # buffers() is nn.Module's
        parameters = dict(self.module.named_parameters())
        state = self.module.state_dict()
        kept = {name for name in state if name not in parameters} - _copied_buffers(self.module)
        self._own = sorted(kept) if buffers == "own" else []
        copied = kept if buffers == "copy" else {name for name in kept if not state[name].is_floating_point()}
        self._copied = sorted((copied - set(self._own)) | _copied_buffers(self.module))

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int | Tensor) -> None:
        """Move one tensor in place; ``steps`` counts the updates before."""
        momentum = max(self.momentum, 1.0 / (int(steps) + 1)) if self.warmup else self.momentum
        averaged_param.lerp_(source_param, momentum)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the teacher after a step of the student ``model``."""
        own, source = self.module.state_dict(), model.state_dict()
        kept = {name: own[name].clone() for name in self._own} if int(self.steps) else {}  # the first is a copy
        super().update_parameters(model)
        for name in self._copied:
            own[name].copy_(source[name])
        for name, value in kept.items():
            own[name].copy_(value)


def _copied_buffers(model: nn.Module) -> set[str]:
    """Names in the state dict of the buffers of modules that want theirs copied."""
    names = model.state_dict().keys()
    return {
        name
        for prefix, module in model.named_modules()
        if getattr(module, "copied_by_teacher", False)
        for name in names
        if name.startswith(f"{prefix}.")
    }


def holds_average(checkpoint: dict) -> bool:
    """Whether ``state_dict`` of a checkpoint with two sets of weights is the average: ``EMAHook`` saves it so.

    Args:
        checkpoint: Its content, with an ``ema_state_dict``.
    """
    return (checkpoint.get("meta") or {}).get("weights", "ema") == "ema"
