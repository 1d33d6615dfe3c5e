"""On a GPU a step that asks the host for a number waits for everything before it. Seen from the operations it calls."""

import sys
import traceback
from pathlib import Path

import mmseg
import pytest
import torch
from builders import build_model, semi_batch
from torch.utils._python_dispatch import TorchDispatchMode

import mmseg_allspark
from mmseg_allspark.labels import count_per_class

# not by name: a checkout may be called mmseg-allspark and hold the environment
PACKAGES = tuple(f"{Path(package.__file__).parent}/" for package in (mmseg, mmseg_allspark))

# Operations whose result or its shape depends on values: on a GPU they wait for it.
WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::bincount", "aten::equal"}


class WaitingOperations(TorchDispatchMode):
    """Collects (operation, innermost file that is ours or mmseg's) of operations that would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().removesuffix(".Tensor")
        by_mask = name in ("aten::index", "aten::index_put") and any(
            isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in WAITING or name.startswith("aten::unique") or by_mask:
            frames = [frame.filename for frame in traceback.extract_stack(sys._getframe(1))]
            ours = [path for path in frames if path.startswith(PACKAGES)]
            self.found.append((name, ours[-1].split("/")[-1] if ours else "elsewhere"))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "options",
    [{}, dict(alignment=dict(), confidence=dict(type="ClassQuantileThreshold"))],
    ids=["as in the paper", "with every running estimate"],
)
def test_a_step_does_not_wait_for_the_device(options, attention_path):
    model = build_model(**options).train()
    model.neck.labeled_attention.attn_drop = 0.1
    batch = semi_batch(model)
    with WaitingOperations() as waiting:
        total, _ = model.parse_losses(model(**batch, mode="loss"))
        total.backward()
    # what mmseg's loss (mean over labeled pixels) and its figure of accuracy do is theirs; the seed of the attention's
    # masks is drawn by the CPU's generator
    known = ("cross_entropy_loss.py", "accuracy.py", "blockwise_attention.py")
    ours = [(name, where) for name, where in waiting.found if where not in known]
    assert sum(where == "blockwise_attention.py" for _, where in waiting.found) <= 1
    assert ours == []


def test_the_detector_sees_what_waits():
    with WaitingOperations() as waiting:
        torch.ones(3)[torch.tensor([True, False, True])].sum().item()
    assert [name for name, _ in waiting.found] == ["aten::index", "aten::_local_scalar_dense"]


def test_count_per_class_counts_only_what_is_a_class():
    labels = torch.tensor([[0, 2, 255], [2, -1, 1], [2, 1, 3]])
    mask = torch.tensor([[True, True, True], [True, True, True], [False, True, False]])
    assert count_per_class(mask, labels, 4).tolist() == [1.0, 2.0, 2.0, 0.0]


def test_count_per_class_does_not_saturate():
    labels = torch.zeros(2**25, dtype=torch.int64)
    assert count_per_class(torch.ones_like(labels, dtype=torch.bool), labels, 1).item() == 2**25
