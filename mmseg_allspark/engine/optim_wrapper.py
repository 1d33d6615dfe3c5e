"""AutocastOptimWrapper: mixed precision from one config on the CPU and on GPUs."""

from typing import Literal

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.optim.optimizer.amp_optimizer_wrapper import GradScaler  # the one for this kind of device
from mmseg.registry import OPTIM_WRAPPERS

from mmseg_allspark.utils.checks import check_types


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(AmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper`` that also runs without a GPU.

    bfloat16 has float32's range: it needs no loss scaling. For float16, on a GPU, there is mmengine's own. A run may be
    resumed with another wrapper; a loss scale then starts anew.

    Args:
        dtype: ``'bfloat16'``, the default.
        **kwargs: Those of :class:`mmengine.optim.OptimWrapper`.
    """

    @check_types
    def __init__(self, dtype: Literal["bfloat16"] = "bfloat16", **kwargs: object) -> None:
        OptimWrapper.__init__(self, **kwargs)  # AmpOptimWrapper's own asserts a GPU
        self.loss_scaler = GradScaler(enabled=False)
        self._scale_update_param = None
        self.cast_dtype = torch.bfloat16

    def state_dict(self) -> dict:
        """State of the optimizer; the empty state of a scaler that is off would be refused by one that is on."""
        state = super().state_dict()
        if not self.loss_scaler.is_enabled():
            state.pop("loss_scaler")
        return state
