"""NonFiniteHook: NaN and Inf in losses, gradients or pseudo logits change no weight."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.optim import Optimizer

from mmseg_allspark.engine.checkpoint.resume_point import find_resume_point
from mmseg_allspark.utils.checks import PositiveInt, check_types
from mmseg_allspark.utils.wrappers import averages, bare_model

SKIPPED = "skipped_steps"  # in the message hub, which checkpoints hold
_REMEDIES = """What to try (resumed unchanged, a run comes to the same step again):
  - a lower optim_wrapper.optimizer.lr, or optim_wrapper.clip_grad=dict(max_norm=1.0)
  - bfloat16 or float32 in place of float16
  - tools/prepare/check_data.py CONFIG, if it is always the same files
  - default_hooks.non_finite.policy='skip', if it is rare"""
_SHOWN = 8  # files of a kind


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stops at, or skips, a step with a NaN or Inf in the losses, the gradients or the pseudo logits.

    All are looked at immediately before the optimizer uses the gradients (after unscaling and clipping, under every
    optimizer wrapper): if one is not finite, weights and optimizer state stay as they are. All ranks decide alike.
    Updates that the loss scaling of float16 leaves out are none of ours as long as the loss is finite. With
    ``AtomicCheckpointHook`` no checkpoint holds what is not finite.

    Args:
        policy: ``'stop'``: raise. ``'skip'``: put the buffers of the model and of its teachers (batch-norm statistics,
            semantic memory, running estimates) back to what they were before the step, log it and go on; costs a copy
            of the buffers at every step. A moving average counts the step, over weights that did not change. What a
            method does to weights in its forward pass stays done (:meth:`GTASegmentor.transfer`). Default ``'stop'``.
        max_skipped: With this many steps in a row without an update, training stops under either policy. Also counts
            what the loss scaling of float16 leaves out, of which a dozen at the start is normal. Default 30.

    Raises:
        FloatingPointError: While training, as described. The message names the figures, the files of the step and the
            checkpoint to go on from.
    """

    priority = "HIGH"  # before moving averages, log and checkpoints

    @check_types
    def __init__(self, policy: Literal["stop", "skip"] = "stop", max_skipped: PositiveInt = 30) -> None:
        self.policy, self.max_skipped = policy, max_skipped
        self._is_decided = self._is_updated = self._is_refused = False
        self._idle = 0  # steps since the last good update
        self._figures: dict[str, Tensor] = {}  # of this step, as scalars
        self._kept: list[Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Stand behind the model and before the optimizer."""
        self._handles = [
            bare_model(runner.model).register_forward_hook(self._collect, with_kwargs=True),
            runner.optim_wrapper.optimizer.register_step_pre_hook(self._guard),
        ]

    def after_train(self, runner: Runner) -> None:
        """Leave them, and say how often it was needed."""
        for handle in self._handles:
            handle.remove()
        if skipped := runner.message_hub.get_info(SKIPPED, 0):
            runner.logger.warning(f"{skipped} training step(s) were skipped because of NaN or Inf, see above.")

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Keep what a skipped step must not change."""
        self._is_decided = self._is_updated = self._is_refused = False
        self._figures = {}
        if self.policy == "skip":
            self._kept = [buffer.clone() for buffer in _buffers(runner)]

    @torch.no_grad()
    def _collect(self, model: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
        """Remember what the step's forward has to give finite: its losses and the labels it was given."""
        if not isinstance(output, dict):
            return  # labelling or validation
        self._figures |= {name: _total(value) for name, value in output.items() if "loss" in name}
        step = kwargs.get("step")
        if step is not None and "pseudo" in step.record:
            self._figures["pseudo_logits"] = _total(step.record["pseudo"].logits)

    @torch.no_grad()
    def _guard(self, optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        """Without gradients an optimizer leaves weights and its state alone."""
        figures = list(self._figures.values())
        found = getattr(optimizer, "found_inf", None)  # a fused optimizer leaves the update out by itself
        if found is None:
            parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
            grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
            figures.append(torch.nn.utils.get_total_norm(grads).float())
        # The host has to know before the update: one synchronisation a step.
        self._is_refused, self._is_decided = _is_any_bad(figures), True
        self._is_updated = not self._is_refused and not (found is not None and bool(found))
        if self._is_refused:
            optimizer.zero_grad(set_to_none=True)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Decide about the step."""
        if not self._is_decided:  # gradients are only accumulated, or loss scaling has left the update out
            self._is_refused = _is_any_bad(list(self._figures.values()))
        self._idle = 0 if self._is_updated else self._idle + 1
        steps = getattr(runner.optim_wrapper, "_accumulative_counts", 1)
        if self._is_refused:
            self._refuse(runner, self._describe(runner, data_batch), steps)
        elif self._idle >= self.max_skipped * steps:
            found = (
                f"The loss scaling of float16 has left out the last {self._idle // steps} updates until iteration "
                f"{runner.iter + 1}: the gradients stay NaN or Inf whatever the scale."
            )
            raise FloatingPointError(f"{found}\n{find_resume_point(runner.work_dir).describe()}\n{_REMEDIES}")

    def _refuse(self, runner: Runner, found: str, steps: int) -> None:
        """Stop, or undo the step."""
        if self._idle >= self.max_skipped * steps:
            found += f"\nNo good step since {self._idle} iterations (NonFiniteHook.max_skipped={self.max_skipped})."
        elif self.policy == "skip":
            self._undo(runner, found)
            return
        raise FloatingPointError(f"{found}\n{find_resume_point(runner.work_dir).describe()}\n{_REMEDIES}")

    def _undo(self, runner: Runner, found: str) -> None:
        for buffer, kept in zip(_buffers(runner), self._kept, strict=True):
            buffer.copy_(kept)
        runner.optim_wrapper.zero_grad()  # what other steps of an accumulation have left
        skipped = runner.message_hub.get_info(SKIPPED, 0) + 1
        runner.message_hub.update_info(SKIPPED, skipped)
        runner.logger.warning(f"{found}\nThe step is skipped, {skipped} so far.")

    def _describe(self, runner: Runner, data_batch: dict) -> str:
        """What is not finite, and the files, of all ranks that had a part in it."""
        bad = [f"{name}={value.item()}" for name, value in self._figures.items() if not value.isfinite()]
        text = "\n  ".join([", ".join(bad) or "losses finite, gradients not", *_describe_files(data_batch)])
        ranks = all_gather_object((get_rank(), bool(bad), text))
        guilty = [one for one in ranks if one[1]] or ranks
        parts = [text if len(ranks) == 1 else f"[rank {rank}] {text}" for rank, _, text in guilty]
        rate = max(group["lr"] for group in runner.optim_wrapper.param_groups)
        return f"NaN or Inf at iteration {runner.iter + 1}: " + "\n".join(parts) + f"\n  learning rate: {rate:g}"


def _buffers(runner: Runner) -> list[Tensor]:
    """Whatever a step changes beside weights; some teachers label in train mode."""
    models = [bare_model(runner.model), *(average.module for average in averages(runner))]
    return [buffer for model in models for buffer in model.buffers()]


def _total(value: Tensor | list[Tensor]) -> Tensor:
    """A scalar that is finite only if all of the value is; a loss may be a list."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    return torch.stack([part.sum(dtype=torch.float32) for part in parts]).sum()


def _is_any_bad(figures: list[Tensor]) -> bool:
    """Whether a figure of any rank is not finite."""
    if not figures:
        return False
    is_bad = (~torch.stack(figures).isfinite()).any().float()
    all_reduce(is_bad, op="max")
    return bool(is_bad)


def _describe_files(data_batch: dict) -> Iterator[str]:
    """Files of a batch, semi-supervised or not, and those of them that hold a NaN or Inf themselves."""
    inputs, samples = data_batch["inputs"], data_batch["data_samples"]
    if not isinstance(samples, dict):
        inputs, samples = dict(labeled=inputs), dict(labeled=samples)
    for part, images in inputs.items():
        kind = part if part in samples else "unlabeled"
        if part in samples or part == "weak":
            paths = list(map(_path, samples[kind]))
            yield f"{kind} files: {', '.join(paths[:_SHOWN])}" + (" ..." if len(paths) > _SHOWN else "")
        bad = [_path(one) for one, image in zip(samples[kind], images, strict=True) if not image.isfinite().all()]
        if bad:
            yield f"the input itself ({part}) is not finite: {', '.join(bad)}"


def _path(sample: SegDataSample) -> str:
    return str(sample.metainfo.get("img_path", "of unknown path"))
