"""MeanTeacherHook: keeps the teacher, and says which of teacher and student is evaluated and saved for use."""

from typing import Annotated, Literal

from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_allspark.models import TeacherAverage, holds_average
from mmseg_allspark.utils.checks import Between, check_types

_KINDS = dict(teacher="ema", student="model")  # what tools/export.py and tools/publish.py call them


@HOOKS.register_module()
class MeanTeacherHook(EMAHook):
    """mmengine's ``EMAHook`` with a teacher that has its student's buffers, and an evaluated role that is declared.

    The teacher (:class:`TeacherAverage`) labels with ``train_cfg.pseudo_labels_from='ema'``. A checkpoint holds the
    evaluated one as ``state_dict``, which tests, inference and export use, and the other as ``ema_state_dict``;
    ``meta.weights`` says which the first is, ``'ema'`` or ``'model'``. ``tools/export.py --weights`` takes either.

    Args:
        momentum: Share of the student in each update, 1 - alpha, in (0, 1). Default 0.01.
        warmup: As in :class:`TeacherAverage`. Default False.
        evaluated: ``'teacher'`` or ``'student'``: validated, tested and saved as ``state_dict``. Default ``'teacher'``.
        buffers: As in :class:`TeacherAverage`. Default ``'average'``.
        **kwargs: Further ones of ``EMAHook``: ``begin_iter``, ``begin_epoch``, ``strict_load``, ``interval``.
    """

    @check_types
    def __init__(
        self,
        momentum: Annotated[float, Between(1e-6, 1.0 - 1e-6)] = 0.01,
        warmup: bool = False,
        evaluated: Literal["teacher", "student"] = "teacher",
        buffers: Literal["average", "copy", "own"] = "average",
        **kwargs: object,
    ) -> None:
        super().__init__(ema_type=TeacherAverage, momentum=momentum, warmup=warmup, buffers=buffers, **kwargs)
        self.evaluated = evaluated

    def _swap_ema_parameters(self) -> None:
        """Exchange teacher and student around validation and test: mmengine's hook does so in all four places."""
        if self.evaluated == "teacher":
            super()._swap_ema_parameters()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save both, the evaluated one as ``state_dict``."""
        super().before_save_checkpoint(runner, checkpoint)
        if self.evaluated == "student":
            self._swap_ema_state_dict(checkpoint)
        checkpoint["meta"]["weights"] = _KINDS[self.evaluated]

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Give a resumed run both back, whichever of them the checkpoint holds as ``state_dict``."""
        if runner._resume and "ema_state_dict" in checkpoint and not holds_average(checkpoint):
            self._swap_ema_state_dict(checkpoint)
        super().after_load_checkpoint(runner, checkpoint)
