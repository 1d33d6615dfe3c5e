"""AutocastOptimWrapper: mixed precision from one config on the CPU and on GPUs."""

from typing import Literal

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.optim.optimizer.amp_optimizer_wrapper import GradScaler  # the one for this kind of device
from mmseg.registry import OPTIM_WRAPPERS

from mmseg_allspark.utils.checks import check_types


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(AmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper`` that also runs without a GPU.

    bfloat16 has float32's range: it needs no loss scaling and runs everywhere. A run may be resumed with another
    wrapper or ``dtype``; a loss scale then starts anew.

    Args:
        dtype: ``'bfloat16'``, on the CPU and on GPUs, or ``'float16'``, on GPUs. Default ``'bfloat16'``.
        loss_scale: ``'dynamic'``, a fixed float or a dict of ``GradScaler``'s arguments; for ``'float16'`` only.
            Default None: ``'dynamic'`` for ``'float16'``, none for ``'bfloat16'``.
        **kwargs: Those of :class:`mmengine.optim.OptimWrapper`.

    Raises:
        ValueError: On an unknown ``dtype``, float16 without a GPU, or a ``loss_scale`` for bfloat16.
    """

    @check_types
    def __init__(
        self,
        dtype: Literal["bfloat16", "float16"] = "bfloat16",
        loss_scale: str | float | dict | None = None,
        **kwargs: object,
    ) -> None:
        if dtype == "float16":
            device = get_device()
            if device in ("cpu", "mps"):
                raise ValueError(
                    f"optim_wrapper.dtype='float16' needs a GPU, and this run is on {device!r}: set "
                    "optim_wrapper.dtype='bfloat16', which runs here too."
                )
            super().__init__(loss_scale="dynamic" if loss_scale is None else loss_scale, dtype=dtype, **kwargs)
            return
        if loss_scale is not None:
            raise ValueError(
                f"optim_wrapper.loss_scale={loss_scale!r} has no effect with optim_wrapper.dtype='bfloat16': leave "
                "it out, or set optim_wrapper.dtype='float16'."
            )
        OptimWrapper.__init__(self, **kwargs)  # AmpOptimWrapper's own asserts a GPU
        self.loss_scaler = GradScaler(enabled=False)
        self._scale_update_param = None
        self.cast_dtype = torch.bfloat16

    def state_dict(self) -> dict:
        """State of the optimizer and, where there is one, of the loss scale.

        Returns:
            As mmengine's; the empty state of a scaler that is off would be refused by one that is on.
        """
        state = super().state_dict()
        if not self.loss_scaler.is_enabled():
            state.pop("loss_scaler")
        return state
