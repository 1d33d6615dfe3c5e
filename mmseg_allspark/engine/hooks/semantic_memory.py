"""SemanticMemoryHook: when the semantic memory is read, and what it holds."""

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_allspark.engine.hooks.log_steps import class_names, is_logging_step, per_class
from mmseg_allspark.models import SemanticMemory
from mmseg_allspark.utils.checks import Count, check_types
from mmseg_allspark.utils.wrappers import bare_model


@HOOKS.register_module()
class SemanticMemoryHook(Hook):
    """Warm-up and figures of the semantic memory.

    During warm-up the memory is written but labeled images attend to the unlabeled images of the step. The
    decision is the step's argument ``use_memory`` and follows from the run's iteration or epoch, so it is
    right after a resume. How ranks combine their memories is declared by ``AllSparkNeck.sync`` and reported
    here at the start. At every logging step the fill level and the channels enqueued per class since the
    last one go to the log and the visualizer.

    Args:
        warmup_iters: Iterations of warm-up; exclusive with ``warmup_epochs``. Default 0.
        warmup_epochs: Epochs of warm-up. Default 0.

    Raises:
        ValueError: If both are given, or (at the start) if the model has no semantic memory.
    """

    priority = "NORMAL"

    @check_types
    def __init__(self, warmup_iters: Count = 0, warmup_epochs: Count = 0) -> None:
        if warmup_iters and warmup_epochs:
            raise ValueError(
                f"SemanticMemoryHook: give warmup_iters={warmup_iters} or warmup_epochs={warmup_epochs}, not both."
            )
        self.warmup_iters, self.warmup_epochs = warmup_iters, warmup_epochs
        self._last_enqueued: torch.Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        """Find the memory and say how it will be used."""
        memory = find_memory(runner)
        if not hasattr(runner.train_loop, "labeled_dataloader"):
            raise ValueError(
                "SemanticMemoryHook: supervised training has no unlabeled images to fill the memory with; delete "
                "default_hooks.semantic_memory and set model.neck=None."
            )
        self._last_enqueued = memory.enqueued.clone()  # after a resume, what was written before is old news
        unit = f"{self.warmup_epochs} epochs" if self.warmup_epochs else f"{self.warmup_iters} iterations"
        runner.logger.info(
            f"Semantic memory: {memory.num_classes} classes x {memory.num_slots} channels of {memory.size[0]}x"
            f"{memory.size[1]}, warm-up {unit}, sync={memory.sync!r} over {get_world_size()} rank(s)."
        )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Add ``use_memory`` to the step's options."""
        data_batch["step"].options["use_memory"] = self.is_warm(runner.iter, runner.epoch)

    def is_warm(self, iteration: int, epoch: int) -> bool:
        """Whether the memory is read at this iteration of this epoch."""
        return iteration >= self.warmup_iters and epoch >= self.warmup_epochs

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Report fill level and enqueued channels at logging steps."""
        if not (is_logging_step(runner, batch_idx) and is_main_process()):
            return
        memory = find_memory(runner)
        enqueued = memory.enqueued.clone()
        new = (enqueued - self._last_enqueued).tolist()
        self._last_enqueued = enqueued
        fill = memory.fill_level().tolist()
        names = class_names(runner, len(fill))
        runner.logger.info(
            f"Semantic memory: fill {sum(fill) / len(fill):.3f} (least {min(fill):.3f}), "
            f"enqueued: {per_class(names, new, 'd')}"
        )
        scalars = {f"memory/fill_{name}": value for name, value in zip(names, fill, strict=True)}
        scalars |= {f"memory/enqueued_{name}": value for name, value in zip(names, new, strict=True)}
        runner.visualizer.add_scalars(scalars, step=runner.iter + 1)


def find_memory(runner: Runner) -> SemanticMemory:
    """Return the model's semantic memory.

    Args:
        runner: The runner.

    Raises:
        ValueError: If the model has none.
    """
    for module in bare_model(runner.model).modules():
        if isinstance(module, SemanticMemory):
            return module
    raise ValueError(
        "The run has a SemanticMemoryHook but the model has no semantic memory: remove the hook, or give "
        "the model a neck of type AllSparkNeck with memory=True."
    )
