"""Hooks that put NaN and Inf where real runs have had them, and runs with them."""

import math

import pytest
import torch
from builders import run_config
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, METRICS
from mmengine.runner import Runner

SAVE = dict(type="AtomicCheckpointHook", by_epoch=False, interval=1)


@HOOKS.register_module(force=True)
class FaultHook(Hook):
    """Spoils iterations ``at`` (from 0), on one rank.

    Kinds: ``labeled``, ``weak`` an image; ``gradient``, ``weight`` one of the model's; ``loss`` (finite gradient).
    """

    priority = "VERY_HIGH"

    def __init__(self, kind, at, rank=0, value=math.nan):
        self.kind, self.at, self.rank, self.value, self.active, self.names = kind, at, rank, value, False, []

    def before_train(self, runner):
        model = getattr(runner.model, "module", runner.model)
        if self.kind == "gradient":
            next(model.parameters()).register_hook(lambda grad: grad * self.value if self.active else grad)
        if self.kind == "loss":
            model.register_forward_hook(self._spoil_loss)

    def _spoil_loss(self, model, args, output):
        if self.active and isinstance(output, dict):
            name = next(name for name in output if "loss" in name)
            return output | {name: output[name] + self.value}
        return None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.active = runner.iter in self.at and get_rank() == self.rank
        part = data_batch["unlabeled" if self.kind == "weak" else "labeled"] if "labeled" in data_batch else data_batch
        self.names.append([sample.img_path for sample in part["data_samples"]])
        if self.active and self.kind in ("labeled", "weak"):
            images = list(part["inputs"])
            images[1] = torch.full(images[1].shape, math.nan)
            part["inputs"] = images

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.active and self.kind == "weight":
            with torch.no_grad():
                next(runner.model.parameters()).view(-1)[0] = math.nan


@METRICS.register_module(force=True)
class ScriptedMetric(BaseMetric):
    """Gives the figures it was told, one a validation."""

    def __init__(self, values):
        super().__init__()
        self.values = list(values)

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(mIoU=self.values.pop(0))


def fault_options(kind, at, hook=None, **changes):
    """Of a run of 6 steps with a fault and a checkpoint at every step."""
    fault = dict(kind) if isinstance(kind, dict) else dict(kind=kind)
    base = dict(
        loop=dict(max_iters=6),
        default_hooks=dict(non_finite=dict(type="NonFiniteHook", **(hook or {})), checkpoint=SAVE),
        custom_hooks=[dict(type="FaultHook", at=at, **fault), dict(type="EMAHook", momentum=0.2, update_buffers=True)],
    )
    return base | changes


def state_of(path):
    return torch.load(path, weights_only=False)


def assert_all_finite(folder):
    """Weights, buffers, average and optimizer state of every checkpoint."""
    paths = sorted(folder.glob("*.pth"))
    for path in paths:
        checkpoint = state_of(path)
        states = [*checkpoint.get("optimizer", {}).get("state", {}).values()]
        for state in (checkpoint["state_dict"], checkpoint["ema_state_dict"], *states):
            for name, value in state.items():
                assert not isinstance(value, torch.Tensor) or value.isfinite().all(), (path.name, name)
    return [path.name for path in paths]


def failing_run(data, work_dir, **given):
    """The runner and the text of the error that ended the run."""
    runner = Runner.from_cfg(run_config(data, work_dir, **given))
    with pytest.raises(FloatingPointError) as caught:
        runner.train()
    return runner, str(caught.value)
