"""SnapshotHook: keeps what the model was during the training."""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_allspark.utils.checks import check_types


@HOOKS.register_module()
class SnapshotHook(Hook):
    """Writes the weights at parts of the training, ``snapshot_1.pth`` and so on in the work directory.

    They have no state of the optimizer and are not removed. A training by epochs writes them after the epoch that
    begins a part, rounded down, any other after the iteration (ST++: a third and two thirds of the epochs).

    Args:
        at: Parts of the training, ascending in (0, 1). Default (1 / 3, 2 / 3).

    Raises:
        ValueError: If they are not.
    """

    # after EMAHook, whose weights belong to the iteration, and before the checkpoint of the same iteration: a training
    # that goes on from that checkpoint has its snapshot
    priority = "LOW"

    @check_types
    def __init__(self, at: Sequence[float] = (1 / 3, 2 / 3)) -> None:
        if not at or list(at) != sorted({*at}) or at[0] <= 0 or at[-1] >= 1:
            raise ValueError(f"SnapshotHook.at={at} has to be parts of the training, ascending between 0 and 1.")
        self.at = tuple(at)

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: object, **kwargs: object) -> None:
        """Write a snapshot if this iteration is one of them."""
        for number, iteration in enumerate(self.iterations(runner), start=1):
            if runner.iter + 1 == iteration:
                options = dict(save_optimizer=False, save_param_scheduler=False, by_epoch=False)
                runner.save_checkpoint(runner.work_dir, f"snapshot_{number}.pth", **options)

    def iterations(self, runner: Runner) -> list[int]:
        """Iterations after which a snapshot is written, at least 1."""
        epochs = runner.max_epochs if getattr(runner.train_loop, "by_epoch", runner.max_epochs > 1) else 0
        parts, unit = (epochs, runner.max_iters // epochs) if epochs > 1 else (runner.max_iters, 1)
        # the small number: 2 / 3 of 240 epochs are 160, whatever the rounding
        return [max(1, int(parts * share + 1e-6)) * unit for share in self.at]
