"""A device that is not there: tensors without values that know where they are.

torch's fake tensors stand for CUDA's only in builds with CUDA: in a CPU build neither autograd nor autocast has a guard
for that device. The ``meta`` device takes its place: an operation on tensors of both devices raises, and so does a read
by the host.
"""

import contextlib
import sys
import traceback
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = "meta"
KNOWN = "mmseg/models/losses/cross_entropy_loss.py"  # asks the device for the number of labeled pixels


class _HostReads(TorchDispatchMode):
    """Answers reads of tensors on the host, which are no synchronisation, and those of mmseg that are known."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            files = [frame.filename for frame in traceback.extract_stack(sys._getframe(1))]
            if args[0].device.type == "cpu" or any(file.endswith(KNOWN) for file in files):
                return 0.5 if args[0].is_floating_point() else 1
        to_host = func is torch.ops.aten._to_copy.default and (kwargs or {}).get("device") == torch.device("cpu")
        if to_host and args[0].device.type == DEVICE:
            raise RuntimeError(f"a tensor is copied from {DEVICE} to the cpu")
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def fake_device():
    """Everything in it runs without values; an operation on two devices or a read by the host raises."""
    no_autocast = patch(
        "torch.autocast", lambda *_, **__: contextlib.nullcontext()
    )  # the device has none to switch off
    no_accuracy = patch("mmseg.models.decode_heads.decode_head.accuracy", lambda *_, **__: torch.zeros(1))  # reads too
    with no_autocast, no_accuracy, FakeTensorMode(allow_non_fake_inputs=True), _HostReads():
        yield


def to_device(value):
    """Move modules, tensors, samples and containers of them; call it within :func:`fake_device`."""
    if isinstance(value, torch.nn.Module):
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            return value._apply(to_device)
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(False)
    if isinstance(value, torch.Tensor):
        return torch.empty_like(value, device=DEVICE)
    if isinstance(value, dict):
        return type(value)({name: to_device(item) for name, item in value.items()})
    if isinstance(value, list):
        return [to_device(item) for item in value]
    value = value.clone()  # a data sample of mmengine
    for name, item in value.items():
        value.set_data({name: to_device(item)})
    return value
