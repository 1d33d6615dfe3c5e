"""NonFiniteHook: NaN and Inf in losses, gradients or pseudo logits change no weight and reach no checkpoint."""

import math
from collections.abc import Iterator

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.optim import Optimizer

from mmseg_allspark.engine.resume_point import find_resume_point
from mmseg_allspark.utils.checks import check_choice, check_positive_int, check_types
from mmseg_allspark.utils.wrappers import bare_model

POLICIES = ("stop", "skip")
SKIPPED = "skipped_steps"  # in the message hub, which checkpoints hold
_REMEDIES = (
    "What to try: a lower optim_wrapper.optimizer.lr; optim_wrapper.clip_grad=dict(max_norm=1.0); float32 or bfloat16 "
    "in place of float16; tools/prepare/check_data.py CONFIG, if it is always the same files; "
    "default_hooks.non_finite.policy='skip', if it is rare. Resumed unchanged, a run comes to the same step again."
)


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stops at, or skips, a step with a NaN or Inf in the losses, the gradients or the pseudo logits.

    Gradients are looked at immediately before the optimizer uses them (after unscaling and clipping, under every
    optimizer wrapper): if their norm is not finite, weights and optimizer state stay as they are. Losses and pseudo
    logits are looked at after the step and before averages, log and checkpoints. All ranks decide alike. Steps that the
    loss scaling of float16 leaves out are none of ours as long as the loss is finite. A checkpoint with a weight or
    buffer that is not finite is never written.

    Args:
        policy: ``'stop'``: raise. ``'skip'``: put the model's buffers (batch-norm statistics, semantic memory, running
            estimates) back to what they were before the step, log it and go on; costs a copy of the buffers at every
            step. Default ``'stop'``.
        max_skipped: With this many steps in a row without an update, training stops under either policy. Also counts
            what the loss scaling of float16 leaves out, of which a dozen at the start is normal. Default 30.

    Raises:
        FloatingPointError: While training, as described. The message names the figures, the files of the step and the
            checkpoint to go on from.
    """

    priority = "HIGH"  # before moving averages, log and checkpoints

    @check_types
    def __init__(self, policy: str = "stop", max_skipped: int = 30) -> None:
        check_choice("NonFiniteHook.policy", policy, POLICIES)
        check_positive_int("NonFiniteHook.max_skipped", max_skipped)
        self.policy, self.max_skipped = policy, max_skipped
        self._is_updated = self._is_refused = False
        self._idle = 0  # steps since the last good update
        self._kept: list[Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Stand before the optimizer."""
        self._handle = runner.optim_wrapper.optimizer.register_step_pre_hook(self._guard)

    def after_train(self, runner: Runner) -> None:
        """Leave the optimizer, and say how often it was needed."""
        self._handle.remove()
        if skipped := runner.message_hub.get_info(SKIPPED, 0):
            runner.logger.warning(f"{skipped} training step(s) were skipped because of NaN or Inf, see above.")

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Keep what a skipped step must not change."""
        self._is_updated = self._is_refused = False
        if self.policy == "skip":
            self._kept = [buffer.clone() for buffer in bare_model(runner.model).buffers()]

    def _guard(self, optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        """Without gradients an optimizer leaves weights and its state alone."""
        found = getattr(optimizer, "found_inf", None)
        if found is not None:  # loss scaling has looked, and a fused optimizer leaves the update out by itself
            self._is_updated = not found
            return
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        # Multiplies finite gradients by exactly 1. The host has to know before the update: one synchronisation a step.
        # DistributedDataParallel has averaged the gradients, so the norm is that of every rank.
        self._is_updated = math.isfinite(torch.nn.utils.clip_grad_norm_(parameters, math.inf))
        if not self._is_updated:
            self._is_refused = True
            optimizer.zero_grad(set_to_none=True)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Decide about the step."""
        figures = _figures(data_batch, outputs)
        is_bad = (~torch.stack(list(figures.values())).isfinite()).any().float()
        all_reduce(is_bad, op="max")
        is_bad = self._is_refused or bool(is_bad)  # mmengine has read the losses for the log before: no further wait
        self._idle = 0 if self._is_updated and not is_bad else self._idle + 1
        steps = getattr(runner.optim_wrapper, "_accumulative_counts", 1)
        if is_bad:
            self._refuse(runner, self._describe(runner, data_batch, figures), steps)
        elif self._idle >= self.max_skipped * steps:
            raise FloatingPointError(
                f"The loss scaling of float16 has left out the last {self._idle // steps} updates until iteration "
                f"{runner.iter + 1}: the gradients stay NaN or Inf whatever the scale. {_last_good(runner)} {_REMEDIES}"
            )

    def _refuse(self, runner: Runner, found: str, steps: int) -> None:
        """Stop, or undo the step."""
        if self._idle >= self.max_skipped * steps:
            found += f" No good step since {self._idle} iterations (NonFiniteHook.max_skipped={self.max_skipped})."
        elif self.policy == "skip":
            self._undo(runner, found)
            return
        raise FloatingPointError(f"{found} {_last_good(runner)} {_REMEDIES}")

    def _undo(self, runner: Runner, found: str) -> None:
        for buffer, kept in zip(bare_model(runner.model).buffers(), self._kept, strict=True):
            buffer.copy_(kept)
        runner.optim_wrapper.zero_grad()  # what other steps of an accumulation have left
        skipped = runner.message_hub.get_info(SKIPPED, 0) + 1
        runner.message_hub.update_info(SKIPPED, skipped)
        runner.logger.warning(f"{found} The step is skipped, {skipped} so far.")

    def _describe(self, runner: Runner, data_batch: dict, figures: dict[str, Tensor]) -> str:
        """What is not finite, and the files, of all ranks that had a part in it."""
        bad = [f"{name}={value.item()}" for name, value in figures.items() if not value.isfinite()]
        text = f"{', '.join(bad) or 'losses finite'}; " + "; ".join(_describe_files(data_batch))
        ranks = all_gather_object((get_rank(), bool(bad), text))
        guilty = [one for one in ranks if one[1]] or ranks
        parts = [text if len(ranks) == 1 else f"[rank {rank}] {text}" for rank, _, text in guilty]
        gradients = "gradients not finite; " if self._is_refused else ""
        return f"NaN or Inf at iteration {runner.iter + 1}: {gradients}{' '.join(parts)}."

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to write weights that are not finite."""
        state = checkpoint["state_dict"].items()
        bad = [name for name, value in state if value.is_floating_point() and not value.isfinite().all()]
        if bad:
            more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
            raise FloatingPointError(
                f"NaN or Inf in the model when a checkpoint was to be written: {', '.join(bad[:5])}{more}. "
                f"It is not written. {_last_good(runner)} {_REMEDIES}"
            )


def _figures(data_batch: dict, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """What has to be finite, as scalars."""
    figures = {name: torch.as_tensor(value).float() for name, value in outputs.items() if "loss" in name}
    if isinstance(data_batch, dict) and data_batch.get("pseudo_logits") is not None:
        figures["pseudo_logits"] = data_batch["pseudo_logits"].sum(dtype=torch.float32)
    return figures


def _describe_files(data_batch: dict) -> Iterator[str]:
    """Files of a batch, semi-supervised or not, and those of them that hold a NaN or Inf themselves."""
    inputs, samples = data_batch["inputs"], data_batch["data_samples"]
    if not isinstance(samples, dict):
        inputs, samples = dict(labeled=inputs), dict(labeled=samples)
    for part, images in inputs.items():
        kind = part if part in samples else "unlabeled"
        if part in samples or part == "weak":
            yield f"{kind} files: {', '.join(map(_path, samples[kind]))}"
        bad = [_path(one) for one, image in zip(samples[kind], images, strict=True) if not image.isfinite().all()]
        if bad:
            yield f"the input itself ({part}) is not finite: {', '.join(bad)}"


def _path(sample: SegDataSample) -> str:
    return str(sample.metainfo.get("img_path", "of unknown path"))


def _last_good(runner: Runner) -> str:
    point = find_resume_point(runner.work_dir)
    path = point.checkpoint or point.named
    return f"Last good checkpoint: {path}." if path else "There is no checkpoint yet."
